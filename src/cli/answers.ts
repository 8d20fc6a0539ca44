import { assertNoErrors, loadRows, type Row } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, openAppender, readText } from '../io/files.ts';
import type { Context } from './command.ts';
import type { ModelSession, Prompt, Sampling } from './domain.ts';
import { openProgress } from './progress.ts';

/** Rows that are answered at once. */
const BATCH = 8;

/** What is answered, by whom, and where the answers go. */
export interface AnswerRequest {
  readonly session: ModelSession;
  readonly data: string;
  readonly out: string;
  /** Adds the base model's answer. */
  readonly against: boolean;
  readonly base: boolean;
  readonly sampling: Sampling;
}

/**
 * Answers all rows of a file, a line for each in its order: `{index, text, stop, reference, base?}`. A file that an earlier call left
 * unfinished is completed; a torn last line is answered again.
 *
 * @throws DATA_*, FILE_NOT_JSON if --out holds something else
 */
export async function answerFile(request: AnswerRequest, context: Context): Promise<void> {
  const { session, sampling, out } = request;
  const { terminal, signal } = context;
  const loaded = await loadRows(request.data, { format: session.format });
  assertNoErrors(loaded.findings);
  const all = loaded.rows.map(promptOf);
  const { lines: from, bytes } = finished(out, all.length);
  if (from > 0) terminal.say(`${out} holds ${from} answers already; going on with the next.`);
  const appender = openAppender(out, bytes);
  const progress = openProgress(terminal, 'generate');
  try {
    for (let start = from; start < all.length && !signal.aborted; start += BATCH) {
      const batch = all.slice(start, start + BATCH);
      const prompts = batch.map(({ prompt }) => prompt);
      const tuned = await collect(session, prompts, { ...sampling, base: request.base, firstIndex: start, signal });
      const base = request.against
        ? await collect(session, prompts, { ...sampling, base: true, firstIndex: start, signal })
        : undefined;
      if (signal.aborted) break;
      const lines = batch.map(({ reference }, i) => {
        const answer = { index: start + i, text: tuned[i]?.text, stop: tuned[i]?.stop, reference };
        return base === undefined ? answer : { ...answer, base: base[i]?.text };
      });
      appender.append(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      for (const line of lines) terminal.emit({ type: 'answer', ...line });
      progress.update(start + batch.length, all.length, `${start + batch.length} of ${all.length} rows`);
    }
  } finally {
    progress.stop();
    appender.close();
  }
  if (signal.aborted) terminal.say(`The same command goes on where this one stopped.`);
  else terminal.print(`${all.length} answers in ${out}`);
}

/** A row up to its last answer, and that answer. */
export function promptOf(row: Row): { readonly prompt: Prompt; readonly reference: string } {
  if (row.kind === 'prompt') return { prompt: { kind: 'text', text: row.prompt }, reference: row.completion };
  if (row.kind === 'messages') {
    const last = row.messages.findLastIndex((message) => message.role === 'assistant');
    const messages = last < 0 ? row.messages : row.messages.slice(0, last);
    const tools = row.tools === undefined ? {} : { tools: row.tools };
    return { prompt: { kind: 'messages', messages, ...tools }, reference: row.messages[last]?.content ?? '' };
  }
  const message = `${row.kind === 'text' ? 'a text' : 'a pre-tokenised row'} has no question to answer.`;
  throw new TunesmithError('DATA_NO_ASSISTANT', { message, file: row.source.file, line: row.source.line });
}

interface Answer {
  readonly text: string;
  readonly stop: string;
}

async function collect(
  session: ModelSession,
  prompts: readonly Prompt[],
  options: Parameters<ModelSession['generate']>[1],
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for await (const event of session.generate(prompts, options)) {
    if (event.type === 'result')
      answers[event.index - (options.firstIndex ?? 0)] = { text: event.text, stop: event.stop };
  }
  return answers;
}

/** Whole lines that are there already, and their bytes. */
function finished(out: string, rows: number): { readonly lines: number; readonly bytes: number } {
  if (!fileExists(out)) return { lines: 0, bytes: 0 };
  const whole = readText(out).split('\n').slice(0, -1);
  for (const [i, line] of whole.entries()) {
    if (indexOf(line) !== i || i >= rows) {
      const message = 'holds something else than answers to these rows.';
      throw new TunesmithError('FILE_NOT_JSON', {
        message,
        file: out,
        line: i + 1,
        fix: 'name another file with --out',
      });
    }
  }
  return { lines: whole.length, bytes: Buffer.byteLength(whole.map((line) => `${line}\n`).join('')) };
}

function indexOf(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'index' in value ? value.index : undefined;
  } catch {
    return undefined;
  }
}
