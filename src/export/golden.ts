import { fillUniform } from '../math/random.ts';
import type { Example, Message, TextTools } from '../text/index.ts';
import { renderPrompt, renderRawPrompt } from '../text/index.ts';

/** Texts that an export is tried with: prose, digits, code, other scripts, white space. */
const TEXTS = [
  'The bridge was closed for the winter, so the baker walked the long way round and arrived after the bread had gone cold.',
  "It's 7:45 on the 3rd of May 2024; 1,250.50 euros (about $1,340) aren't due before 31/12.",
  'function area(width, height) {\n  return width * height; // both in metres\n}\n',
  'Größe, naïveté, señor; Привет, мир. 你好，世界！こんにちは',
  '  Indented twice.\n\n\tA tab, and   three spaces.\r\nThe end',
  'Water boils at a lower temperature on a mountain because the air presses less on its surface',
] as const;

/** Conversations that an export is tried with. */
const CONVERSATIONS: readonly (readonly Message[])[] = [
  [{ role: 'user', content: 'Name three things that a bicycle needs in winter.' }],
  [
    { role: 'user', content: 'Where is my order?' },
    { role: 'assistant', content: 'It left our store on Monday.' },
    { role: 'user', content: 'And when will it be here?' },
  ],
];

/** Tokens of one text that go through the model. */
const MOST_TOKENS = 32;

/**
 * Token ids of the golden prompts. A model without a tokenizer gets ids drawn at random.
 *
 * @param system goes before conversations
 */
export function goldenIds(tools: Partial<TextTools>, system: string | undefined, vocabSize: number): number[][] {
  const { tokenizer, template } = tools;
  if (tokenizer === undefined) return TEXTS.map((_, a) => drawnIds(vocabSize, a));
  const first: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  const chats = template === undefined ? [] : CONVERSATIONS;
  return [
    ...TEXTS.map((text) => renderRawPrompt(text, tokenizer)),
    ...chats.map((messages) => renderPrompt([...first, ...messages], undefined, { tokenizer, template: template! })),
  ];
}

/** The first tokens of each prompt as rows of which every token is predicted. The end of a conversation matters more than its beginning. */
export function goldenExamples(prompts: readonly (readonly number[])[], maxPositions: number): Example[] {
  return prompts.map((prompt, i) => {
    const most = Math.min(MOST_TOKENS, maxPositions);
    const kept = i < TEXTS.length ? prompt.slice(0, most) : prompt.slice(-most);
    const ids = Int32Array.from(kept);
    return { ids, labels: ids.slice() };
  });
}

function drawnIds(vocabSize: number, a: number): number[] {
  const drawn = new Float32Array(MOST_TOKENS);
  fillUniform(drawn, 0, vocabSize, { seed: 0, purpose: 'golden prompt', a });
  return Array.from(drawn, (value) => Math.min(vocabSize - 1, Math.floor(value)));
}
