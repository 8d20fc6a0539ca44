import { fillUniform } from '../math/random.ts';
import { type Example, IGNORE, type Message, renderPrompt, renderRawPrompt, type TextTools } from '../text/index.ts';

/** Texts whose token ids must be the same: contractions, digits, code, other scripts, white space. */
const HARD_TEXTS = [
  "It's 7:45 on the 3rd of May 2024; 1,250.50 euros (about $1,340) aren't due before 31/12.",
  'function area(width, height) {\n  return width * height; // both in metres\n}\n',
  'Größe, naïveté, señor; Привет, мир. 你好，世界！こんにちは',
  '  Indented twice.\n\n\tA tab, and   three spaces.\r\nThe end',
] as const;

/** Texts that the model goes on with. */
const PROSE = [
  'The bridge was closed for the winter, so the baker walked the long way round the lake. By the time he arrived at the market, the sun was up and the people were waiting in line for their bread.',
  'Water boils at a lower temperature on a high mountain because the air pressure is lower there. At sea level, it boils at one hundred degrees Celsius, which is why pasta takes longer to cook in the mountains.',
  'Thank you for contacting us. We are sorry to hear that your order has not arrived yet. Please send us your order number and your address, and we will look into the problem as soon as possible.',
  'Once upon a time, there was a little girl who lived in a small house at the edge of the forest. Every morning she went to the river to fetch water, and every evening she sat by the fire with her grandmother.',
] as const;

/** Conversations that an export is tried with. */
const CONVERSATIONS: readonly (readonly Message[])[] = [
  [{ role: 'user', content: 'Name three things that a bicycle needs in winter.' }],
  [
    { role: 'user', content: 'Where is my order?' },
    { role: 'assistant', content: 'It left our store on Monday.' },
    { role: 'user', content: 'And when will it be here?' },
  ],
  [{ role: 'user', content: 'I would like to cancel my order and get my money back. What do I have to do?' }],
  [{ role: 'user', content: 'Why is the sky blue?' }],
];

/** Tokens of a text that the model goes on from. */
const PROSE_TOKENS = 16;
/** Tokens of an answer, at most. */
export const ANSWER_TOKENS = 32;

/** What an export is tried with, as token ids. */
export interface GoldenPrompts {
  /** The export's tokenizer and template must give the same. */
  readonly ids: readonly (readonly number[])[];
  /** What the model that was trained answers; its answers then go through the others too, for they are what people will see of it. */
  readonly prompts: readonly (readonly number[])[];
}

/**
 * The golden prompts as a model's tokenizer and template have them. A model without a tokenizer gets ids drawn at random.
 *
 * @param system goes before conversations
 */
export function goldenPrompts(
  tools: Partial<TextTools>,
  system: string | undefined,
  { vocabSize, maxPositions }: { readonly vocabSize: number; readonly maxPositions: number },
): GoldenPrompts {
  const { tokenizer, template } = tools;
  if (tokenizer === undefined) {
    const drawn = PROSE.map((_, a) => drawnIds(vocabSize, PROSE_TOKENS, a));
    return { ids: drawn, prompts: drawn };
  }
  const first: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  const chats = template === undefined ? [] : CONVERSATIONS;
  const read = (text: string) => renderRawPrompt(text, tokenizer);
  const prose = PROSE.map(read);
  const asked = chats.map((messages) => {
    return renderPrompt([...first, ...messages], undefined, { tokenizer, template: template! });
  });
  // Of what is longer than a small model's context, the end matters more.
  const prompts = [...asked.map((ids) => ids.slice(-(maxPositions - ANSWER_TOKENS))), ...prose.map(beginning)];
  return { ids: [...prose, ...asked, ...HARD_TEXTS.map(read)], prompts };
}

function beginning(ids: readonly number[]): number[] {
  return ids.slice(0, PROSE_TOKENS);
}

/** A prompt with its answer, of which every token is predicted. */
export function answered(prompt: readonly number[], answer: readonly number[]): Example {
  const labels = Int32Array.from([...prompt.map(() => IGNORE), ...answer]);
  return { ids: Int32Array.from([...prompt, ...answer]), labels };
}

function drawnIds(vocabSize: number, count: number, a: number): number[] {
  const drawn = new Float32Array(count);
  fillUniform(drawn, 0, vocabSize, { seed: 0, purpose: 'golden prompt', a });
  return Array.from(drawn, (value) => Math.min(vocabSize - 1, Math.floor(value)));
}
