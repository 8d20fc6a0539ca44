import { type ChoiceItem, placed } from './item.ts';

/**
 * Pairs of sentences of which one breaks a single rule of English: agreement, reflexives, irregular forms, word order, determiners, polarity,
 * prepositions. What both begin with is the context.
 */
export function grammarItems(): ChoiceItem[] {
  return [...agreement(), ...across(), ...reflexives(), ...determiners(), ...WRITTEN.flatMap(kind)].map(
    ([right, wrong], i) => minimalPair(right, wrong, i),
  );
}

type Pair = readonly [right: string, wrong: string];

function minimalPair(right: string, wrong: string, number: number): ChoiceItem {
  const [a, b] = [right.split(' '), wrong.split(' ')];
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const [right_, wrong_] = [a, b].map((words) => `${same === 0 ? '' : ' '}${words.slice(same).join(' ')}`);
  return placed(a.slice(0, same).join(' '), right_!, [wrong_!], number);
}

const NOUNS = ['dog', 'teacher', 'car', 'bird', 'neighbour', 'student', 'tree', 'doctor'];
const VERBS: readonly Pair[] = [
  ['was', 'were'],
  ['is', 'are'],
  ['has', 'have'],
];
const AFTER: Readonly<Record<string, string>> = {
  was: 'seen again.',
  is: 'near the house.',
  has: 'been there before.',
};

function agreement(): Pair[] {
  return NOUNS.flatMap((noun) =>
    VERBS.flatMap(([one, many]): Pair[] => {
      const rest = AFTER[one]!;
      return [
        [`The ${noun} ${one} ${rest}`, `The ${noun} ${many} ${rest}`],
        [`The ${noun}s ${many} ${rest}`, `The ${noun}s ${one} ${rest}`],
      ];
    }),
  );
}

/** A noun of the other number stands in between. */
function across(): Pair[] {
  return NOUNS.slice(0, 6).flatMap((noun, i): Pair[] => {
    const other = NOUNS[(i + 3) % NOUNS.length]!;
    return [
      [`The ${noun} behind the ${other}s was very old.`, `The ${noun} behind the ${other}s were very old.`],
      [`The ${noun}s behind the ${other} were very old.`, `The ${noun}s behind the ${other} was very old.`],
      [`The ${noun} that the ${other}s like is here.`, `The ${noun} that the ${other}s like are here.`],
    ];
  });
}

const REFLEXIVES: readonly (readonly [subject: string, own: string])[] = [
  ['The boy', 'himself'],
  ['The girl', 'herself'],
  ['The children', 'themselves'],
  ['My uncle', 'himself'],
  ['My aunt', 'herself'],
  ['The queen', 'herself'],
  ['The king', 'himself'],
  ['The women', 'themselves'],
];

function reflexives(): Pair[] {
  return REFLEXIVES.flatMap(([subject, own]) =>
    ['washed', 'hurt', 'saw'].map((verb): Pair => {
      const wrong = own === 'himself' ? 'themselves' : own === 'herself' ? 'himself' : 'herself';
      return [`${subject} ${verb} ${own}.`, `${subject} ${verb} ${wrong}.`];
    }),
  );
}

function determiners(): Pair[] {
  return NOUNS.flatMap((noun): Pair[] => [
    [`We saw this ${noun}.`, `We saw these ${noun}.`],
    [`We saw those ${noun}s.`, `We saw that ${noun}s.`],
    [`There are many ${noun}s here.`, `There are much ${noun}s here.`],
    [`Every ${noun} is different.`, `Every ${noun}s is different.`],
  ]);
}

/** `{right|wrong}` within a sentence. */
function kind(text: string): Pair[] {
  const [, right, wrong] = /\{(.*?)\|(.*?)\}/.exec(text) ?? [];
  if (right === undefined || wrong === undefined) throw new Error(`internal: no pair in ${text}`);
  return [[text.replace(/\{.*\}/, right), text.replace(/\{.*\}/, wrong)]];
}

const WRITTEN: readonly string[] = `
She has {written|wrote} a long letter.
He {went|goed} home after school.
They have {eaten|ate} all the bread.
I have {seen|saw} this film before.
The vase was {broken|broke} by the cat.
He {brought|bringed} his own lunch.
She {taught|teached} us to swim.
We {caught|catched} the last train.
The bell has {rung|rang} twice.
He had {drunk|drank} too much coffee.
The book was {stolen|stole} last night.
The children {slept|sleeped} until noon.
She {thought|thinked} about it all day.
The man {bought|buyed} a new hat.
They {built|builded} a house by the lake.
He has {taken|took} my umbrella.
The letter was {given|gave} to me.
She {felt|feeled} much better.
The sun has {risen|rose} already.
We have {driven|drove} all night.
What did you {buy|bought} yesterday?
Did she {call|called} you back?
He does not {like|likes} fish.
She can {sing|sings} very well.
They must {leave|left} before dark.
He will {come|came} tomorrow.
You should {eat|eats} more fruit.
We did not {see|saw} anyone.
I want {to go|go} home.
She enjoys {reading|to reading} novels.
He is good at {cooking|cook}.
They stopped {talking|to talking} at once.
I am looking forward to {seeing|see} you.
She made him {wait|to wait} outside.
He let the dog {run|to run} free.
We decided {to stay|staying} at home.
He refused {to answer|answering} the question.
She is {taller|more tall} than her brother.
This is the {biggest|most big} house in town.
He runs {faster|more fast} than me.
It is the {best|goodest} book of all.
This road is {worse|badder} than the other.
She speaks {more slowly|slow} than he does.
He is as tall {as|than} his father.
He is older {than|as} his wife.
I have {an|a} apple in my bag.
He is {a|an} doctor.
She waited for {an|a} hour.
It was {a|an} useful tool.
He ate {an|a} egg for breakfast.
I bought {some|a} bread.
We need {some|a} water.
She gave me {a lot of|many} advice.
There is {too much|too many} noise in here.
There are {too many|too much} people in here.
How {many|much} books do you have?
How {much|many} money do you need?
He has {fewer|less} friends than before.
We live {in|on} a small town.
She was born {in|on} June.
The meeting is {on|in} Monday.
The class begins {at|in} nine o'clock.
He is afraid {of|from} spiders.
She is married {to|with} a lawyer.
They are proud {of|on} their son.
He depends {on|of} his parents.
I agree {with|to} you about that.
She listened {to|at} the radio.
We waited {for|on} the bus for an hour.
He apologised {for|of} the mistake.
She is interested {in|on} history.
The box is full {of|with} old letters.
He looked {at|to} the picture on the wall.
The cat jumped {onto|at} the table.
He put {on his coat|his on coat} and left.
She {always eats|eats always} breakfast at seven.
They have {never been|been never} to Paris.
He {speaks English well|speaks well English}.
What {are you|you are} doing here?
Where {does he|he does} live?
Why {did they|they did} leave so early?
How {can I|I can} help you?
When {will she|she will} be back?
I wonder where {he is|is he} now.
Tell me what {you want|do you want}.
I know why {she left|did she leave}.
It is a {big red|red big} ball.
She has {beautiful long|long beautiful} hair.
He gave {me the book|the book me}.
Please turn {it off|off it}.
She picked {him up|up him} at the station.
Nobody has {ever|never} seen it.
I have not seen {anyone|no one} today.
He does not have {any|no} money.
She hardly {ever|never} smiles.
There is not {anything|nothing} to eat.
Nobody {knows|know} the answer.
Everyone {was|were} happy to see us.
Each of the boys {has|have} a ball.
Neither of the two men {was|were} here.
The police {have|has} arrested two men.
The news {is|are} good today.
My trousers {are|is} too short.
Mathematics {is|are} hard for him.
The people {were|was} friendly.
The children {are|is} asleep.
Those mice {were|was} hungry.
His feet {are|is} cold.
She and I {are|am} good friends.
You and he {were|was} late.
Between you and {me|I}, he is wrong.
The teacher praised {us|we} for our work.
{They|Them} went to the market.
{She|Her} is my best friend.
Give it to {him|he} when he comes.
This book is {mine|my}.
That car is {theirs|their}.
{Whose|Who} bag is this?
The woman {who|which} lives here is kind.
The house {which|who} we bought is old.
The man {whose|who} dog barks is my neighbour.
The place {where|which} we met is closed.
If I {were|be} rich, I would travel.
If it {rains|will rains}, we will stay at home.
If he had known, he would {have come|had come}.
I wish I {could|will} fly.
She has lived here {for|since} ten years.
He has worked here {since|for} last May.
They {have known|know} each other for years.
When I arrived, they {had already|have already} left.
By tomorrow she will {have finished|had finished} it.
While I {was|am} cooking, he called.
He used to {smoke|smoking} a lot.
She is used to {working|work} at night.
It is raining, {isn't it|isn't she}?
You like tea, {don't you|doesn't you}?
She can swim, {can't she|does she}?
The door was {opened|open opened} by the guard.
English is {spoken|spoke} all over the world.
The cake was {made|make} by my mother.
The cars were {washed|washing} by his son.
He sings {beautifully|beautiful} every time.
She drives very {carefully|careful}.
The soup smells {good|well}.
He works {hard|hardly} every day.
They live {happily|happy} together.
There {is|are} a book on the table.
There {are|is} three books on the table.
It {takes|take} two hours to get there.
The dogs {bark|barks} at night.
My brother {plays|play} the piano.
Our friends {live|lives} in the city.
Both of my parents {work|works} here.
One of the windows {is|are} open.
The price of these shoes {has|have} gone up.
The colour of the walls {is|are} too dark.
`
  .trim()
  .split('\n');
