import { TunesmithError } from '../errors/index.ts';
import type { ChatTemplate } from './chat-template.ts';
import { cutAnswer, type EndOfTurn, endOfTurn } from './end-of-turn.ts';
import { type Example, IGNORE } from './example.ts';
import type { Message, Tool } from './messages.ts';
import { checkShown } from './shown.ts';
import { checkSpecialText, findSpecial } from './special-text.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What turns messages into token ids. */
export interface ChatFormat {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/** Which answers of a conversation are trained, weights permitting. */
export type TrainOn = 'all' | 'last';

/** How conversations become examples. */
export interface ExampleOptions extends ChatFormat {
  readonly trainOn: TrainOn;
  /** Lets content hold special tokens as text; they are then read as the real ones. */
  readonly allowSpecialTokens?: boolean | undefined;
}

/** What a conversation became. */
export interface RenderedExamples {
  /** One, or one for each trained answer in their order where the template rewrites history. */
  readonly examples: readonly Example[];
  /** Whether the template rewrites history, so that one pass could not show what serving shows. */
  readonly rewritten: boolean;
}

/** One answer as it is rendered. */
interface Turn {
  /** Index of the assistant's message. */
  readonly index: number;
  /** What serving shows before the answer. */
  readonly prompt: string;
  /** The answer, up to and with the token that ends it. */
  readonly answer: string;
}

/** A stretch of ids, all with loss or all without. */
interface Segment {
  readonly ids: readonly number[];
  readonly trained: boolean;
}

/**
 * Renders a conversation for training: ids, and labels on the answers and the tokens that end them.
 *
 * Each answer stands after exactly the ids that renderPrompt gives for the messages before it. Answers are segments of their own: their ids are
 * those that generation would have produced, whatever stands around them. An assistant message with weight 0 is context. What stands after the
 * last trained answer is left out.
 *
 * @throws DATA_NOTHING_SUPERVISED, DATA_SPECIAL_TOKEN, TEMPLATE_NO_END_OF_TURN, TEMPLATE_NO_TOOLS, TEMPLATE_NO_REASONING,
 *   TEMPLATE_DROPS_MESSAGE, TEMPLATE_PROMPT_DIVERGES, and what rendering throws
 */
export function renderExamples(
  messages: readonly Message[],
  tools: readonly Tool[] | undefined,
  options: ExampleOptions,
): RenderedExamples {
  const answers = [...messages.keys()].filter((i) => isTrainable(messages[i]!));
  const trained = options.trainOn === 'last' ? answers.slice(-1) : answers;
  if (trained.length === 0) {
    throw new TunesmithError('DATA_NOTHING_SUPERVISED', { message: 'has no assistant message that is trained.' });
  }
  const shown = messages.slice(0, trained.at(-1)! + 1);
  const facts = formatFacts(options);
  if (options.allowSpecialTokens !== true) checkSpecialText(shown, facts.findSpecial);
  const conversation = openConversation(shown, tools, options);
  const turns = trained.map((index) => conversation.turn(index));
  checkTools(shown, tools ?? [], turns.at(-1)!, options.template);
  checkShown(shown, tools ?? [], {
    texts: turns.map((t) => t.prompt + t.answer),
    answers: new Map(turns.map((t) => [t.index, t.answer])),
  });
  if (options.trainOn === 'all' && isAppendOnly(turns)) {
    return { examples: [toExample(segmentsOf(turns, options.tokenizer))], rewritten: false };
  }
  const examples = turns.map((turn) => {
    const context = conversation.promptIds(turn.index);
    return toExample([
      { ids: context, trained: false },
      { ids: encodeAfter(options.tokenizer, turn.answer, context), trained: true },
    ]);
  });
  return { examples, rewritten: examples.length > 1 };
}

/**
 * The ids that serving shows before the next answer, generation prompt included. Earlier answers are encoded as segments of their own, as they
 * were when they were generated, where the template shows them as they were.
 *
 * @throws what rendering throws
 */
export function renderPrompt(
  messages: readonly Message[],
  tools: readonly Tool[] | undefined,
  format: ChatFormat,
): number[] {
  return openConversation(messages, tools, format).promptIds(messages.length);
}

/** A template that ignores tools renders the same without them, even where their names stand elsewhere in the conversation. */
function checkTools(messages: readonly Message[], tools: readonly Tool[], last: Turn, template: ChatTemplate): void {
  if (tools.length === 0) return;
  if (template.render(messages.slice(0, last.index), { addGenerationPrompt: true }) !== last.prompt) return;
  throw new TunesmithError('TEMPLATE_NO_TOOLS', { message: 'the chat template does not show the tools of the row.' });
}

const isTrainable = (message: Message) => message.role === 'assistant' && message.weight !== 0;

/** Renders parts of one conversation, each at most once. */
interface Conversation {
  /** The answer at this index, with what serving shows before it. */
  turn(index: number): Turn;
  /** The ids that serving shows before the answer at this index. */
  promptIds(index: number): number[];
}

function openConversation(
  messages: readonly Message[],
  tools: readonly Tool[] | undefined,
  { tokenizer, template }: ChatFormat,
): Conversation {
  const turns = new Map<number, Turn>();
  const prompt = (index: number) => template.render(messages.slice(0, index), { tools, addGenerationPrompt: true });
  const turn = (index: number): Turn => {
    const known = turns.get(index);
    if (known !== undefined) return known;
    const rendered = renderTurn({ messages, index, prompt: prompt(index), tools, format: { tokenizer, template } });
    turns.set(index, rendered);
    return rendered;
  };
  const promptIds = (index: number): number[] => {
    const text = turns.get(index)?.prompt ?? prompt(index);
    const earlier = [...messages.keys()].filter((i) => i < index && isTrainable(messages[i]!));
    const history = earlier.length === 0 ? [] : tryTurns(earlier, turn);
    if (history === undefined || !isAppendOnly([...history, { prompt: text, answer: '' }]))
      return tokenizer.encode(text);
    const before = segmentsOf(history, tokenizer).flatMap((s) => s.ids);
    return [...before, ...encodeAfter(tokenizer, text.slice(doneLength(history.at(-1))), before)];
  };
  return { turn, promptIds };
}

/** The earlier turns, or undefined where one can't stand alone: then the prompt is encoded in one piece. */
function tryTurns(indices: readonly number[], turn: (index: number) => Turn): Turn[] | undefined {
  try {
    return indices.map(turn);
  } catch (error) {
    if (error instanceof TunesmithError) return undefined;
    throw error;
  }
}

function renderTurn(input: {
  readonly messages: readonly Message[];
  readonly index: number;
  readonly prompt: string;
  readonly tools: readonly Tool[] | undefined;
  readonly format: ChatFormat;
}): Turn {
  const { messages, index, prompt, tools, format } = input;
  const { end } = formatFacts(format);
  const full = format.template.render(messages.slice(0, index + 1), { tools });
  const tail = full.startsWith(prompt)
    ? full.slice(prompt.length)
    : divergingTail(messages[index]!, index, prompt, full, end);
  return { index, prompt, answer: cutAnswer(tail, end, format.tokenizer) };
}

/**
 * The answer where the prompt ends with something that the template takes away once the answer is there, such as an opened block of reasoning:
 * content that starts with it is trained as it stands.
 */
function divergingTail(message: Message, index: number, prompt: string, full: string, end: EndOfTurn): string {
  let common = 0;
  while (common < prompt.length && prompt[common] === full[common]) common++;
  const opened = prompt.slice(common);
  if (message.content.startsWith(opened) && message.tool_calls === undefined) {
    return message.content.slice(opened.length) + end.closing;
  }
  throw new TunesmithError('TEMPLATE_PROMPT_DIVERGES', {
    message: `the chat template ends a prompt with ${JSON.stringify(opened)}, which is not in the answer of message ${index + 1} once it is given.`,
  });
}

/** Whether each prompt goes on where the answer before it ended. */
function isAppendOnly(turns: readonly Pick<Turn, 'prompt' | 'answer'>[]): boolean {
  return turns.every((turn, i) => {
    const before = turns[i - 1];
    return (
      before === undefined ||
      (turn.prompt.startsWith(before.prompt) && turn.prompt.startsWith(before.answer, before.prompt.length))
    );
  });
}

const doneLength = (turn: Turn | undefined) => (turn === undefined ? 0 : turn.prompt.length + turn.answer.length);

/** Append-only turns as stretches of ids: context, answer, context, answer. */
function segmentsOf(turns: readonly Turn[], tokenizer: Tokenizer): Segment[] {
  const segments: Segment[] = [];
  let before: readonly number[] = [];
  for (const [i, turn] of turns.entries()) {
    const context = encodeAfter(tokenizer, turn.prompt.slice(doneLength(turns[i - 1])), before);
    const answer = encodeAfter(tokenizer, turn.answer, context.length > 0 ? context : before);
    segments.push({ ids: context, trained: false }, { ids: answer, trained: true });
    before = answer;
  }
  return segments;
}

/** Encodes text that follows these ids; at the start there are none. */
export function encodeAfter(tokenizer: Tokenizer, text: string, before: readonly number[]): number[] {
  const previous = before.at(-1);
  return previous === undefined || tokenizer.encodeAfter === undefined
    ? tokenizer.encode(text)
    : tokenizer.encodeAfter(text, previous);
}

function toExample(segments: readonly Segment[]): Example {
  const ids = Int32Array.from(segments.flatMap((s) => s.ids));
  const labels = Int32Array.from(segments.flatMap((s) => (s.trained ? s.ids : s.ids.map(() => IGNORE))));
  return { ids, labels };
}

/** What holds for a template and a tokenizer, found once. */
interface FormatFacts {
  readonly end: EndOfTurn;
  readonly findSpecial: (text: string) => string | undefined;
}

const FACTS = new WeakMap<ChatTemplate, WeakMap<Tokenizer, FormatFacts>>();

function formatFacts({ template, tokenizer }: ChatFormat): FormatFacts {
  const known = FACTS.get(template)?.get(tokenizer);
  if (known !== undefined) return known;
  const facts = { end: endOfTurn(template, tokenizer), findSpecial: findSpecial(tokenizer) };
  const byTokenizer = FACTS.get(template) ?? new WeakMap<Tokenizer, FormatFacts>();
  FACTS.set(template, byTokenizer.set(tokenizer, facts));
  return facts;
}
