import { join } from 'node:path';
import { fileExists, makeFolder, openAppender, readText, sha256 } from '../io/index.ts';
import type { Message } from '../text/index.ts';
import type { ItemResult } from './subject.ts';
import type { AnswerItem, AnswerTask } from './tasks.ts';

/** A model that compares answers. */
export interface Judge {
  /** Equal for judges that would say the same: an address and a name, or a path. */
  readonly name: string;
  /** @throws where no answer can be had */
  ask(messages: readonly Message[], signal: AbortSignal): Promise<string>;
}

/** Which of two answers is the better one, or neither. */
export type Choice = 'first' | 'second' | 'tie';

/** Failures one after the other, after which a judge is asked no more. */
const GIVE_UP = 3;

/**
 * Lets a judge compare two models' answers, each pair twice, in either order (Zheng et al. 2023, arXiv:2306.05685): what it says of one order only is a tie,
 * since judges favour a place. A model's mark is 1 where its answer is preferred and else 0. Answers that no verdict could be had of keep a `fault`; verdicts
 * are kept on the disk, so that an evaluation which was interrupted goes on.
 *
 * @throws the signal's reason when it is aborted
 */
export async function judgeAnswers(
  task: AnswerTask,
  answers: { readonly base: readonly ItemResult[]; readonly tuned: readonly ItemResult[] },
  { judge, folder }: { readonly judge: Judge; readonly folder: string },
  signal: AbortSignal,
  onItem: (done: number) => void = () => {},
): Promise<{ readonly base: ItemResult[]; readonly tuned: ItemResult[] }> {
  const verdicts = openVerdicts(folder, judge.name);
  const marked: { readonly base: ItemResult[]; readonly tuned: ItemResult[] } = { base: [], tuned: [] };
  let failures = 0;
  let why = '';
  try {
    for (const [i, item] of task.items.entries()) {
      signal.throwIfAborted();
      const [base, tuned] = [answers.base[i]!, answers.tuned[i]!];
      let preferred: 'base' | 'tuned' | 'tie' | undefined;
      if (failures < GIVE_UP) {
        try {
          preferred = await compare(item, base.text ?? '', tuned.text ?? '', judge, verdicts, signal);
          failures = 0;
        } catch (error) {
          signal.throwIfAborted();
          failures++;
          why = error instanceof Error ? error.message : String(error);
        }
      }
      const fault = preferred === undefined ? { fault: `the judge gave no verdict: ${why}` } : {};
      marked.base.push({ ...base, value: preferred === 'base' ? 1 : 0, ...fault });
      marked.tuned.push({ ...tuned, value: preferred === 'tuned' ? 1 : 0, ...fault });
      onItem(i + 1);
    }
  } finally {
    verdicts.close();
  }
  return marked;
}

async function compare(
  item: AnswerItem,
  base: string,
  tuned: string,
  judge: Judge,
  verdicts: Verdicts,
  signal: AbortSignal,
): Promise<'base' | 'tuned' | 'tie'> {
  if (base === tuned) return 'tie';
  const inOrder = await verdicts.once(judgePrompt(item, base, tuned), judge, signal);
  const swapped = await verdicts.once(judgePrompt(item, tuned, base), judge, signal);
  if (inOrder === 'first' && swapped === 'second') return 'base';
  return inOrder === 'second' && swapped === 'first' ? 'tuned' : 'tie';
}

/** What a judge is asked. */
export function judgePrompt(
  { prompt, references }: Pick<AnswerItem, 'prompt' | 'references'>,
  first: string,
  second: string,
): Message[] {
  const question = typeof prompt === 'string' ? prompt : prompt.map((m) => `${m.role}: ${m.content}`).join('\n\n');
  const good = references.map((reference) => `\n\n[A good answer]\n${reference}`).join('');
  const system =
    'You compare two answers to the same request. Say which one is more helpful, correct and fitting to the request. Length and order do not count. ' +
    'End with one line: "Better: A", "Better: B" or "Better: tie".';
  const content = `[Request]\n${question}${good}\n\n[Answer A]\n${first}\n\n[Answer B]\n${second}`;
  return [
    { role: 'system', content: system },
    { role: 'user', content },
  ];
}

/** The verdict of a judge's answer: its last one counts. @throws where it holds none */
export function verdictIn(answer: string): Choice {
  const found = [...answer.matchAll(/better:?\W*\b(a|b|tie|neither|both)\b/gi)].at(-1)?.[1]?.toLowerCase();
  if (found === undefined) throw new Error(`it answered without a verdict (${JSON.stringify(answer.slice(0, 80))})`);
  return found === 'a' ? 'first' : found === 'b' ? 'second' : 'tie';
}

interface Verdicts {
  /** The verdict on a prompt, asked only once. */
  once(prompt: readonly Message[], judge: Judge, signal: AbortSignal): Promise<Choice>;
  close(): void;
}

function openVerdicts(folder: string, judge: string): Verdicts {
  makeFolder(folder);
  const path = join(folder, `${sha256(`judge ${judge}`)}.jsonl`);
  const text = fileExists(path) ? readText(path) : '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const known = new Map(whole.split('\n').flatMap(parseVerdict));
  const log = openAppender(path, Buffer.byteLength(whole));
  return {
    async once(prompt, judge, signal) {
      const key = sha256(JSON.stringify(prompt));
      const old = known.get(key);
      if (old !== undefined) return old;
      const verdict = verdictIn(await judge.ask(prompt, signal));
      known.set(key, verdict);
      log.append(`${JSON.stringify([key, verdict])}\n`);
      return verdict;
    },
    close: () => log.close(),
  };
}

function parseVerdict(line: string): [string, Choice][] {
  const [, key, verdict] = /^\["([0-9a-f]{64})","(first|second|tie)"\]$/.exec(line) ?? [];
  return key === undefined ? [] : [[key, verdict as Choice]];
}
