import { openAppender, writeAtomic } from '../io/index.ts';
import { type BegunWith, finished, metaOf } from './answer-file.ts';
import type { Context } from './command.ts';
import type { ModelSession, Prompt, RowReading, Sampling } from './domain.ts';
import { openProgress } from './progress.ts';

/** Rows that are answered at once. */
const BATCH = 8;

/** What is answered, by whom, and where the answers go. */
export interface AnswerRequest {
  readonly session: ModelSession;
  readonly data: string;
  readonly reading: RowReading;
  readonly out: string;
  /** Adds the base model's answer. */
  readonly against: boolean;
  readonly base: boolean;
  readonly sampling: Sampling;
}

/** A line of the file of answers. */
interface AnswerLine {
  readonly index: number;
  readonly text: string;
  readonly stop: string;
  readonly reference: string | undefined;
  readonly base?: string;
}

/**
 * Answers all rows of a file, a line for each in its order: `{index, text, stop, reference?, base?}`. A file that an earlier call left
 * unfinished is completed, batch by batch as it would have been; what it was begun with stands beside it in `OUT.meta.json`.
 *
 * @throws DATA_*, TEMPLATE_*, FILE_EXISTS if --out holds something else, GENERATE_OUT_DIFFERS
 */
export async function answerFile(request: AnswerRequest, context: Context): Promise<void> {
  const { session, out } = request;
  const { terminal, signal } = context;
  const { questions, file, prompts } = await session.questions(request.data, request.reading);
  const begun: BegunWith = { ...(await begunWith(request)), data: file, prompts };
  const { lines: from, bytes } = finished(out, questions.length, BATCH, begun);
  if (from > 0 && from < questions.length)
    terminal.say(`${out} holds ${from} answers already; going on with the next.`);
  if (from === 0) writeAtomic(metaOf(out), `${JSON.stringify(begun, null, 2)}\n`);
  const appender = openAppender(out, bytes);
  const progress = openProgress(terminal, 'generate');
  try {
    for (let start = from; start < questions.length; start += BATCH) {
      const lines = await answerBatch(request, questions.slice(start, start + BATCH), start, signal);
      if (signal.aborted) break;
      appender.append(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      for (const line of lines) terminal.emit({ type: 'answer', ...line });
      const done = start + lines.length;
      progress.update(done, questions.length, `${done} of ${questions.length} rows`);
    }
  } finally {
    progress.stop();
    appender.close();
  }
  if (signal.aborted) terminal.say('The same command goes on where this one stopped.');
  else terminal.print(`${questions.length} answers in ${out}`);
}

async function answerBatch(
  { session, sampling, base, against }: AnswerRequest,
  batch: readonly { readonly prompt: Prompt; readonly reference: string | undefined }[],
  firstIndex: number,
  signal: AbortSignal,
): Promise<AnswerLine[]> {
  const prompts = batch.map(({ prompt }) => prompt);
  const given = await collect(session, prompts, { ...sampling, base, firstIndex, signal });
  const others = against ? await collect(session, prompts, { ...sampling, base: true, firstIndex, signal }) : undefined;
  if (signal.aborted) return [];
  return batch.map(({ reference }, i) => {
    const answer = { index: firstIndex + i, ...given[i]!, reference };
    return others === undefined ? answer : { ...answer, base: others[i]!.text };
  });
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
    if (event.type !== 'result') continue;
    answers[event.index - (options.firstIndex ?? 0)] = { text: event.text, stop: event.stop };
  }
  return answers;
}

async function begunWith({ session, sampling, base, against }: AnswerRequest): Promise<BegunWith> {
  const { base: model, adapter } = await session.identity();
  return { model, adapter: base ? null : (adapter ?? null), against: against ? 'base' : null, ...sampling };
}
