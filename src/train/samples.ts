import type { Row } from '../data/index.ts';
import { generate } from '../generate/index.ts';
import { endOfTurn, type Message, renderPrompt, renderRawPrompt } from '../text/index.ts';
import type { RunContext } from './context.ts';
import { isOnline } from './objective.ts';
import { requireTokenizer, type TextSetup } from './rows.ts';

/** A held-out prompt that is answered at each evaluation. */
export interface SamplePrompt {
  /** The last thing that was said before the answer. */
  readonly text: string;
  readonly ids: readonly number[];
}

/** How many prompts are answered, and how long an answer may get: enough to see the style, little enough to cost seconds. */
const PROMPTS = 3;
const MAX_TOKENS = 48;

/** The first held-out rows that ask something. Rows of plain text or of token ids do not. */
export function samplePrompts(rows: readonly Row[], setup: TextSetup): SamplePrompt[] {
  const prompts: SamplePrompt[] = [];
  for (const row of new Set(rows)) {
    const prompt = promptOf(row, setup);
    if (prompt !== undefined) prompts.push(prompt);
    if (prompts.length === PROMPTS) break;
  }
  return prompts;
}

/** What a row asks; undefined where it asks nothing. */
export function promptOf(row: Row, { tokenizer, template }: TextSetup): SamplePrompt | undefined {
  if (tokenizer === undefined) return undefined;
  if (row.kind === 'prompt') return { text: row.prompt, ids: renderRawPrompt(row.prompt, tokenizer) };
  if (row.kind !== 'messages' || template === undefined) return undefined;
  const last = row.messages.findLastIndex((message: Message) => message.role === 'assistant');
  // A conversation that nobody has answered yet is answered as it stands.
  const before = last < 0 ? row.messages : row.messages.slice(0, last);
  const asked = before.at(-1);
  if (asked === undefined) return undefined;
  return { text: asked.content, ids: renderPrompt(before, row.tools, { tokenizer, template }) };
}

/** What generation needs of a network as it stands. @throws TOKENIZER_MISSING */
export function generationOf({ net, text }: Pick<RunContext, 'net' | 'text'>) {
  const tokenizer = requireTokenizer(text);
  const { template, format } = text;
  const stopIds = new Set(net.config.eosIds);
  if (tokenizer.eosId !== undefined) stopIds.add(tokenizer.eosId);
  if (format === 'chat' && template !== undefined) stopIds.add(endOfTurn(template, tokenizer).id);
  const base = { config: net.config, isAtRest: net.isAtRest, outer: net.outer, layers: net.layers };
  const adapter = net.adapter && { ...net.adapter, layers: net.layers, outer: net.outer };
  return { session: { engine: net.engine, base, adapter }, stopIds, tokenizer };
}

/** Answers of the network as it stands, greedily. */
export async function answerSamples(
  { net, text, onActivity, frozen }: Pick<RunContext, 'net' | 'text' | 'onActivity' | 'frozen'>,
  prompts: readonly SamplePrompt[],
  signal: AbortSignal,
): Promise<{ prompt: string; text: string }[]> {
  if (text.tokenizer === undefined || prompts.length === 0) return [];
  const { method } = frozen.config;
  // Answers that are learned from are no longer than they are drawn.
  const maxTokens = isOnline(method) ? Math.min(MAX_TOKENS, method.maxTokens) : MAX_TOKENS;
  const { session, stopIds, tokenizer } = generationOf({ net, text });
  const answers = prompts.map(({ text }) => ({ prompt: text, text: '' }));
  const ids = prompts.map((prompt) => prompt.ids);
  const made = prompts.map(() => 0);
  const tell = () => {
    const done = made.reduce((a, b) => a + b, 0);
    onActivity({ kind: 'answer', done, total: maxTokens * prompts.length, unit: 'tokens' });
  };
  tell();
  for await (const event of generate(session, ids, { tokenizer, maxTokens, stopIds, signal })) {
    if (event.type === 'result') answers[event.index]!.text = event.text;
    // An answer that ended early leaves nothing to be waited for.
    made[event.index] = event.type === 'result' ? maxTokens : made[event.index]! + 1;
    tell();
  }
  return answers;
}
