/**
 * `npm run bench -- lm-eval --data DIR [--items N] [--threads N] [--python PYTHON] [--answers DIR]`: rows of benchmarks, scored by us and by lm-evaluation-harness with local YAML tasks over
 * the same JSONL and the same weights. DIR has NAME.jsonl (lambada, hellaswag, arc, piqa, blimp, winogrande) and wikitext.txt. Prints how far the
 * log-likelihoods of choices are apart, and on how many items the predictions agree. --answers keeps ours for the next time.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openSubject } from '../src/evaluate/subject.ts';
import { loadTask } from '../src/evaluate/task-file.ts';
import { sum } from '../src/math/stats.ts';
import { baseModelPath } from '../test/support/base-model.ts';
import { peerPython } from './train.ts';

const NAMES = ['lambada', 'hellaswag', 'arc', 'piqa', 'blimp', 'winogrande', 'wikitext'] as const;

interface Side {
  readonly items?: readonly { readonly scores: readonly number[]; readonly value: number }[];
  readonly bitsPerByte?: number;
}

/** Runs both sides and prints how far they are apart. */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string' },
      items: { type: 'string', default: '100' },
      threads: { type: 'string', default: '2' },
      python: { type: 'string' },
      answers: { type: 'string' },
    },
  });
  if (values.data === undefined) throw new Error('--data DIR holds the benchmarks');
  const folder = mkdtempSync(join(tmpdir(), 'lm-eval-'));
  const names = NAMES.filter((name) => copyRows(values.data!, folder, name, Number(values.items)));
  const model = baseModelPath();
  if (model === undefined) throw new Error('tunesmith pull smollm2-135m-instruct comes first');
  const python = values.python ?? lmEvalPython();
  const out = join(folder, 'theirs.json');
  const script = join(import.meta.dirname, 'peers', 'lm-eval', 'score.py');
  const answers = values.answers ?? join(folder, 'answers');
  const ours = await scoreOurs(model, { folder, answers }, names, Number(values.threads));
  const env = { ...process.env, THREADS: values.threads, HF_HUB_OFFLINE: '1' };
  const { status } = spawnSync(python, [script, model, folder, out], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env,
  });
  if (status !== 0) throw new Error('lm-evaluation-harness failed');
  const theirs = JSON.parse(readFileSync(out, 'utf8')) as Readonly<Record<string, Side>>;
  for (const name of names) console.log(compared(name, ours[name]!, theirs[name]!));
}

/** A Python that has lm-evaluation-harness beside what the other peers need. */
function lmEvalPython(): string {
  const python = peerPython();
  const { status } = spawnSync(python, ['-m', 'pip', 'install', '-q', 'lm_eval==0.4.13', 'gguf'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('lm_eval could not be installed');
  return python;
}

/** The first rows of a file, one long page of the text. */
function copyRows(from: string, to: string, name: string, items: number): boolean {
  const file = join(from, name === 'wikitext' ? `${name}.txt` : `${name}.jsonl`);
  if (!existsSync(file)) return false;
  const text = readFileSync(file, 'utf8');
  const pages = text.split(/\n(?= = [^=]+ = \n)/).filter((page) => page.trim() !== '');
  const rows =
    name === 'wikitext'
      ? pages.slice(0, 3).map((page) => JSON.stringify({ page }))
      : text
          .split('\n')
          .filter((line) => line !== '')
          .slice(0, items);
  writeFileSync(join(to, `${name}.jsonl`), rows.join('\n'));
  return true;
}

async function scoreOurs(
  model: string,
  { folder, answers }: { readonly folder: string; readonly answers: string },
  names: readonly string[],
  threads: number,
) {
  const subject = await openSubject({ path: model, compute: { threads } }, answers);
  const sides: Record<string, Side> = {};
  try {
    for (const name of names) {
      const task = loadTask(`${name}:${join(folder, `${name}.jsonl`)}`);
      const results = await subject.answer(task, AbortSignal.timeout(3_600_000), () => {});
      const [values, weights] = [results.map(({ value }) => value), results.map(({ weight }) => weight)];
      sides[name] =
        task.kind === 'bytes'
          ? { bitsPerByte: sum(values) / sum(weights) }
          : { items: results.map(({ scores = [], value }) => ({ scores, value })) };
    }
  } finally {
    await subject.close();
  }
  return sides;
}

function compared(name: string, ours: Side, theirs: Side): string {
  if (ours.bitsPerByte !== undefined) {
    return `${name}: ${ours.bitsPerByte.toFixed(5)} bits per byte, theirs ${theirs.bitsPerByte?.toFixed(5)}`;
  }
  const pairs = ours.items!.map((one, i) => [one, theirs.items![i]!] as const);
  const off = pairs.map(([a, b]) => Math.max(...a.scores.map((score, k) => Math.abs(score - b.scores[k]!))));
  const same = pairs.filter(([a, b]) => a.value === b.value).length;
  const right = pairs.filter(([a]) => a.value === 1).length;
  return `${name}: ${pairs.length} items, log-likelihoods within ${Math.max(...off).toExponential(1)}, same outcome on ${same}, ${right} right`;
}
