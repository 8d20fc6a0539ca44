import { join } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, readJson, writeAtomic } from '../io/index.ts';
import { newestCheckpoint } from '../train/checkpoint.ts';
import type { RunContext } from '../train/context.ts';
import { type Answered, scoreAnswers } from './scored.ts';

/** Log-probabilities of one part of the rows under the model that the run started from, in nats. */
export interface Reference {
  readonly answers: readonly number[];
  readonly strangers: readonly number[];
}
/** Of all parts. */
export type References = Readonly<Record<'train' | 'select' | 'report', Reference>>;

const Numbers = z.strictObject({ answers: z.array(z.number()), strangers: z.array(z.number()) });
const ReferenceFile = z.strictObject({ version: z.literal(1), train: Numbers, select: Numbers, report: Numbers });

type Scorable = Readonly<Record<keyof References, { answers: readonly Answered[]; strangers: readonly Answered[] }>>;

/** File of a run that holds its reference. */
const FILE = 'reference.json';

/**
 * Scores every answer with the model as the run starts, before the first step; a resumed run reads what was found then.
 *
 * @throws RUN_CHECKPOINT if a run that has taken steps lacks it
 */
export async function referencesOf(run: RunContext, parts: Scorable, signal: AbortSignal): Promise<References> {
  const file = join(run.path, FILE);
  if (fileExists(file)) return read(file, parts);
  if (run.isResumed && newestCheckpoint(run.path) !== undefined) throw broken(file, 'is gone');
  const names = ['train', 'select', 'report'] as const;
  const total = names.reduce((n, name) => n + parts[name].answers.length + parts[name].strangers.length, 0);
  let done = 0;
  const tell = (count: number) => {
    done += count;
    run.onActivity({ kind: 'reference', done, total, unit: 'rows' });
  };
  tell(0);
  const score = async (answers: readonly Answered[]) =>
    (await scoreAnswers(run.net, answers, signal, tell)).map(({ logp }) => logp);
  const found: Partial<Record<keyof References, Reference>> = {};
  for (const name of names) {
    const { answers, strangers } = parts[name];
    found[name] = { answers: await score(answers), strangers: await score(strangers) };
  }
  writeAtomic(file, `${JSON.stringify({ version: 1, ...found })}\n`);
  return found as References;
}

function read(file: string, parts: Scorable): References {
  const { data } = ReferenceFile.safeParse(readJson(file));
  if (data === undefined) throw broken(file, 'does not hold what was scored');
  for (const name of ['train', 'select', 'report'] as const) {
    const isWhole = (['answers', 'strangers'] as const).every((of) => data[name][of].length === parts[name][of].length);
    if (!isWhole) throw broken(file, 'belongs to other rows');
  }
  return data;
}

function broken(file: string, what: string): TunesmithError {
  const message = `${what}: the log-probabilities that the run is measured against.`;
  return new TunesmithError('RUN_CHECKPOINT', { file, message, fix: 'start the run anew' });
}
