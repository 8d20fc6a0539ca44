import { type ChoiceItem, fromPairs } from './item.ts';

/** Sentences of everyday life to be completed, four choices each that fit other sentences of the same kind. */
export function completionItems(): ChoiceItem[] {
  const people = ['Anna', 'Tom', 'Maria', 'Peter'];
  const varied = KINDS.flatMap(([frame, pairs], kind) => {
    const named = [0, 1, 2].map((k) => people[(kind + k) % people.length]!);
    return named.flatMap((who) => fromPairs(frame.replaceAll('@', who), pairs.replaceAll('@', who)));
  });
  return [...varied, ...FIXED.flatMap(([frame, pairs]) => fromPairs(frame, pairs))];
}

/** With a person for `@`, three of them each. */
const KINDS: readonly (readonly [frame: string, pairs: string])[] = [
  [
    '@ was *',
    'thirsty and drank a glass of=water,hungry and ate a slice of=bread,tired and went straight to=bed,cold and put on a warm=coat,ill and went to see the=doctor,lost and looked at the=map,late and ran to catch the=bus,bored and read a=book',
  ],
  [
    '@ went to the *',
    'bakery to buy some=bread,butcher to buy some=meat,library to borrow some=books,florist to buy some=flowers,pharmacy to buy some=medicine,bank to get some=money,beach to swim in the=sea,stable to ride a=horse,cinema to watch a=film,station to take the=train,airport to take the=plane,post office to send a=letter',
  ],
  [
    '@ opened the *',
    'umbrella because of the=rain,window because of the=heat,curtains to let in the=light,oven to take out the=cake,fridge to get some=milk,envelope to read the=letter,cage to free the=bird,wallet to take out some=money',
  ],
  [
    '@ picked up the *',
    'phone and made a=call,pen and wrote a=letter,brush and painted a=picture,needle and sewed on a=button,guitar and played a=song,broom and swept the=floor,hammer and drove in a=nail,spoon and ate the=soup,rod and caught a=fish,camera and took a=photograph',
  ],
  [
    'In the *',
    'kitchen @ cooked=dinner,garden @ planted=flowers,bathroom @ took a=shower,bedroom @ fell=asleep,garage @ repaired the=car,classroom @ answered the=teacher,church @ said a=prayer,restaurant @ ordered a=meal',
  ],
];

const FIXED: readonly (readonly [frame: string, pairs: string])[] = [
  [
    'When *',
    'water freezes it turns into=ice,wood burns it turns into=ash,snow melts it turns into=water,you mix flour with water it turns into=dough,the sun sets it becomes=dark,grapes are pressed they give=juice,iron gets wet it turns into=rust,a caterpillar grows up it turns into a=butterfly',
  ],
  ['In * the weather is usually', 'a desert by day=hot,Antarctica=cold,a rain forest=wet,a desert without rain=dry'],
  [
    'The baby *',
    'cried because it was=hungry,yawned because it was=tired,laughed because it was=happy,shivered because it was=cold,sweated because it was=hot',
  ],
  [
    'The child *',
    'blew out the candles on the=cake,built a castle of=sand,threw the ball through the=air,poured milk into the=glass,climbed up into the=tree,kicked off his=shoes,brushed his=teeth,washed his dirty=hands,rode to school on his=bicycle,put the letter into the=mailbox',
  ],
  [
    'They *',
    'crossed the river by the=bridge,climbed to the top of the=mountain,sailed across the ocean in a=ship,slept outside in a=tent,listened to music on the=radio,sat around the camp=fire,cut the grass of the=lawn,harvested wheat in the=field,watched the actors on the=stage,sold the vegetables at the=market,locked the thief up in=prison,borrowed a loan from the=bank',
  ],
  [
    'He *',
    'put salt and pepper on his=food,parked his car in the=garage,wore a ring on his=finger,wore a hat on his=head,tied a scarf around his=neck,wore a watch on his=wrist,carried a bag on his=back,put glasses on his=nose',
  ],
  [
    'She *',
    'lit the candle with a=match,ate the steak with knife and=fork,dried her hair with a=towel,unlocked the door with a=key,cut the bread with a=knife,looked at herself in the=mirror,paid for the dress with a credit=card,stuck the stamp on the=envelope,hung her wet clothes on the=line,put the dirty plates into the=sink',
  ],
];
