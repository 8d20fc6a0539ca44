import { sha256 } from '../io/index.ts';
import { runConfined } from '../io/sandbox.ts';
import { meets } from './scorers/constraints.ts';
import { markOf } from './scorers/index.ts';
import { voiceMarks } from './scorers/voice.ts';
import type { ItemResult } from './subject.ts';
import type { AnswerItem, AnswerTask } from './tasks.ts';

/**
 * Marks answers that were generated, in the order of the task's items. What a function of the user's throws is the `fault` of that item, and the others
 * are marked all the same; code that fails, loops or leaves its folder is wrong. A judge's marks come later, when there are two answers to compare.
 *
 * @param onItem told of each that is marked
 * @throws the signal's reason when it is aborted
 */
export async function markAnswers(
  task: AnswerTask,
  answers: readonly ItemResult[],
  signal: AbortSignal,
  onItem: (done: number) => void = () => {},
): Promise<ItemResult[]> {
  if (task.marking.kind === 'voice') {
    const texts = task.items.map(({ references }) => references[0] ?? '');
    const marks = voiceMarks(
      answers.map(({ text = '' }) => text),
      texts,
    );
    return answers.map((result, i) => ({ ...result, value: marks[i]! }));
  }
  const labels = [...new Set(task.items.flatMap(({ references }) => references))];
  const marked: ItemResult[] = [];
  for (const [i, result] of answers.entries()) {
    signal.throwIfAborted();
    marked.push(await markOne(task, task.items[i]!, result, labels, signal));
    onItem(marked.length);
  }
  return marked;
}

async function markOne(
  { marking }: AnswerTask,
  item: AnswerItem,
  result: ItemResult,
  labels: readonly string[],
  signal: AbortSignal,
): Promise<ItemResult> {
  const answer = result.text ?? '';
  const worth = (value: number | boolean): ItemResult => ({ ...result, value: Number(value) });
  switch (marking.kind) {
    case 'metric':
      return worth(markOf(marking.metric, answer, item, labels));
    case 'constraints':
      return worth(meets(answer, item.constraints ?? []));
    case 'code': {
      const passed = await passes(answer, item, signal);
      return passed === undefined ? { ...result, fault: 'python3 is not on this machine' } : worth(passed);
    }
    case 'judge':
    case 'voice':
      return result;
    case 'function':
      try {
        const { prompt, references, row } = item;
        const value = Number(await within(marking.mark({ prompt, answer, references, row }), signal));
        if (value >= 0 && value <= 1) return worth(value);
        return { ...result, fault: `gave ${value}, which is no number from 0 to 1` };
      } catch (error) {
        signal.throwIfAborted();
        return { ...result, fault: error instanceof Error ? error.message : String(error) };
      }
    default:
      return marking satisfies never;
  }
}

/** Milliseconds in which a function has to give its mark. */
const PATIENCE = 60_000;

/** What a function gives, unless it never does: a promise that nothing settles would end the program without a word. */
async function within<T>(work: T | Promise<T>, signal: AbortSignal, patience = PATIENCE): Promise<T> {
  let end = () => {};
  const over = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`gave no mark within ${patience / 1000} seconds`)), patience);
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    end();
  }
}

/** The code of an answer: its fenced blocks, or all of it where it has none. */
export function codeIn(answer: string): string {
  const blocks = [...answer.matchAll(/```[^\n]*\n([\s\S]*?)(?:```|$)/g)].map(([, code = '']) => code);
  return blocks.length === 0 ? answer : blocks.join('\n');
}

/** Whether the code of an answer passes the tests of its row, in a confined process; undefined where there is no Python to run it. */
export async function passes(
  answer: string,
  { tests = '', language = 'javascript' }: Pick<AnswerItem, 'tests' | 'language'>,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const body = `${codeIn(answer)}\n${tests}\n`;
  // A program that leaves before its tests are run never says this.
  const word = sha256(`${body}end`);
  const end = language === 'python' ? `import sys\nsys.stderr.write('${word}')` : `process.stderr.write('${word}');`;
  const { outcome, message } = await runConfined(`${body}${end}`, language, { signal });
  signal.throwIfAborted();
  return outcome === 'absent' ? undefined : outcome === 'passed' && message.endsWith(word);
}
