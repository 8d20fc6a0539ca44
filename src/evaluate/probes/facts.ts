import { type ChoiceItem, fromPairs } from './item.ts';

/** Everyday facts, four choices each of the same kind. */
export function factItems(): ChoiceItem[] {
  return KINDS.flatMap(([frame, pairs]) => fromPairs(frame, pairs));
}

const KINDS: readonly (readonly [frame: string, pairs: string])[] = [
  [
    'The capital of * is the city of',
    'France=Paris,Italy=Rome,Spain=Madrid,Germany=Berlin,England=London,Japan=Tokyo,Russia=Moscow,Egypt=Cairo,Greece=Athens,Austria=Vienna,Portugal=Lisbon,Ireland=Dublin,Poland=Warsaw,Cuba=Havana,Peru=Lima,Kenya=Nairobi,Thailand=Bangkok,Norway=Oslo,Sweden=Stockholm,China=Beijing,Hungary=Budapest,Belgium=Brussels,Canada=Ottawa,Finland=Helsinki,Denmark=Copenhagen,Iran=Tehran,Iraq=Baghdad,Chile=Santiago',
  ],
  [
    'Most people in * speak the language',
    'France=French,Italy=Italian,Spain=Spanish,Germany=German,Japan=Japanese,Russia=Russian,Greece=Greek,Portugal=Portuguese,Poland=Polish,Turkey=Turkish,Sweden=Swedish,China=Chinese,England=English,Egypt=Arabic,Brazil=Portuguese,Mexico=Spanish,Austria=German,Vietnam=Vietnamese,Norway=Norwegian,Finland=Finnish',
  ],
  [
    'The country of * lies on the continent of',
    'Nigeria=Africa,Germany=Europe,Brazil=South America,Japan=Asia,Kenya=Africa,Poland=Europe,Peru=South America,India=Asia,Ghana=Africa,Sweden=Europe,Chile=South America,Thailand=Asia,Ethiopia=Africa,Austria=Europe,Bolivia=South America,Vietnam=Asia',
  ],
  [
    'A baby * is called a',
    'dog=puppy,cat=kitten,cow=calf,horse=foal,sheep=lamb,deer=fawn,bear=cub,goat=kid,pig=piglet,chicken=chick,duck=duckling,swan=cygnet,kangaroo=joey,frog=tadpole',
  ],
  [
    'A person whose job is * is called a',
    'to teach children=teacher,to bake bread=baker,to put out fires=firefighter,to cut hair=barber,to fly planes=pilot,to write books=writer,to paint pictures=painter,to repair cars=mechanic,to look after sick people=nurse,to grow crops=farmer,to catch fish=fisherman,to sing songs=singer,to fix pipes=plumber,to act in films=actor,to defend people in court=lawyer,to pull teeth=dentist,to make clothes=tailor,to take photographs=photographer,to sell meat=butcher,to study the stars=astronomer',
  ],
  [
    'The usual colour of * is',
    'grass=green,fresh snow=white,blood=red,coal=black,a clear sky=blue,a ripe lemon=yellow,milk=white,a ripe tomato=red,spinach=green,charcoal=black,an egg yolk=yellow,chocolate=brown',
  ],
  [
    'The month that comes right after * is',
    'January=February,February=March,March=April,April=May,May=June,June=July,July=August,August=September,September=October,October=November,November=December,December=January',
  ],
  [
    'The day that comes right after * is',
    'Monday=Tuesday,Tuesday=Wednesday,Wednesday=Thursday,Thursday=Friday,Friday=Saturday,Saturday=Sunday,Sunday=Monday',
  ],
  [
    'The opposite of the word * is the word',
    'hot=cold,big=small,fast=slow,young=old,light=dark,happy=sad,rich=poor,early=late,full=empty,strong=weak,open=closed,wet=dry,good=bad,high=low,clean=dirty,long=short,hard=soft,true=false,war=peace,love=hate,buy=sell,begin=end,push=pull,win=lose,left=right,day=night,inside=outside,always=never,up=down,black=white',
  ],
  ['We * with our', 'see=eyes,hear=ears,smell=nose,chew=teeth,walk=feet,breathe=lungs,think=brain,grasp=hands'],
  [
    'An animal that * is the',
    'gives us milk=cow,gives us wool=sheep,lays the eggs we eat=chicken,makes honey=bee,spins a web=spider,hops and carries its young in a pouch=kangaroo,barks at strangers=dog,has a very long neck=giraffe,has a trunk and tusks=elephant,is called the king of beasts=lion,has black and white stripes=zebra,purrs and chases mice=cat,crosses deserts with a hump on its back=camel,swims in Antarctica and cannot fly=penguin,builds dams in rivers=beaver,hangs upside down in caves=bat',
  ],
  [
    'The tool for * is the',
    'hammering nails=hammer,cutting paper=scissors,sawing wood=saw,sweeping the floor=broom,digging holes=shovel,eating soup=spoon,measuring temperature=thermometer,seeing tiny things=microscope,seeing distant stars=telescope,telling the time=clock,tightening screws=screwdriver,drying wet hands=towel,keeping off the rain=umbrella,opening a locked door=key,combing hair=comb,boiling water for tea=kettle,ironing shirts=iron,writing on paper=pen',
  ],
  [
    'The thing that * is called the',
    'lights the sky by day=sun,lights the sky by night=moon,pumps blood through the body=heart,keeps food cold=refrigerator,takes pictures=camera,carries many passengers on rails=train,flies with wings and an engine=airplane,shows your face when you look in it=mirror,holds the water of a bath=bathtub,tells north from south=compass',
  ],
  [
    'The number of * is',
    'legs of a spider=eight,legs of a dog=four,wheels of a bicycle=two,sides of a triangle=three,days in a week=seven,months in a year=twelve,fingers on one hand=five,legs of an insect=six,wheels of a tricycle=three,eyes of a person=two,sides of a square=four,strings of a violin=four',
  ],
  [
    'Things made by a * are made of',
    'carpenter=wood,blacksmith=iron,goldsmith=gold,potter=clay,glassblower=glass,baker=dough,bricklayer=brick,weaver=thread',
  ],
  [
    'We all know that a * is a kind of',
    'rose=flower,oak=tree,salmon=fish,sparrow=bird,hammer=tool,violin=instrument,diamond=stone,bee=insect,carrot=vegetable,apple=fruit,tulip=flower,trout=fish,eagle=bird,drum=instrument,ruby=stone,wasp=insect,pine=tree,saw=tool,pear=fruit,cabbage=vegetable',
  ],
  [
    'One *, two',
    'mouse=mice,foot=feet,tooth=teeth,child=children,man=men,woman=women,goose=geese,leaf=leaves,knife=knives,wife=wives,city=cities,baby=babies,box=boxes,dish=dishes,wolf=wolves',
  ],
  [
    'Today I *, and yesterday I',
    'go=went,see=saw,eat=ate,take=took,come=came,give=gave,write=wrote,buy=bought,think=thought,drink=drank,sing=sang,run=ran,speak=spoke,sleep=slept,know=knew,fly=flew',
  ],
  [
    'In * people pay with the',
    'the United States=dollar,Japan=yen,Britain=pound,Germany=euro,India=rupee,Russia=ruble,Mexico=peso,Switzerland=franc',
  ],
  [
    'The season in Europe when * is called',
    'snow falls=winter,the days are hottest=summer,leaves turn brown and fall=autumn,the first flowers bloom after the cold=spring',
  ],
  ['In the alphabet, the letter after * is the letter', 'A=B,B=C,C=D,D=E,E=F,F=G,H=I,J=K,L=M,O=P,R=S,S=T,X=Y'],
  [
    'The profession of * was that of a',
    'Shakespeare=writer,Mozart=composer,Picasso=painter,Einstein=physicist,Napoleon=general,Darwin=biologist,Plato=philosopher,Euclid=mathematician',
  ],
];
