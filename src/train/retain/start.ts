import { join } from 'node:path';
import { TunesmithError } from '../../errors/index.ts';
import {
  fileExists,
  folderExists,
  readSafetensorsHeader,
  readStored,
  type StoredTensor,
  writeSafetensors,
} from '../../io/index.ts';
import { uploadAdapter } from '../../model/adapter-handles.ts';
import { openPeft } from '../../model/peft.ts';
import type { Example } from '../../text/example.ts';
import { newestCheckpoint } from '../checkpoint.ts';
import { type RunContext, START } from '../context.ts';
import { createNetwork, type Network } from '../network.ts';
import { type RowTargets, rowTargets } from './targets.ts';

/** An example, and the positions at which the model shall stay what it was. */
export interface Held {
  readonly example: Example;
  readonly positions: readonly number[];
}

/** What the model as the run starts predicts, for examples by their number. */
export type StartTargets = (index: number) => Promise<RowTargets>;

type Place = Pick<RunContext, 'net' | 'engine' | 'base' | 'source' | 'path' | 'isResumed' | 'frozen'>;

/** File of a run of full weights that holds what its start predicts. */
const FILE = 'start.safetensors';

/**
 * The model as a run starts, beside the one that trains: the base, or the base with the adapter that the run starts from; no weight of the base lies in
 * memory twice. Undefined where the weights themselves train.
 */
export function startNetwork({
  net,
  engine,
  base,
  source,
  path,
  frozen,
}: Omit<Place, 'isResumed'>): Network | undefined {
  if (net.adapter === undefined) return undefined;
  const folder = join(path, START);
  if (frozen.config.initAdapter === undefined || !folderExists(folder)) return createNetwork({ engine, base });
  const adapter = uploadAdapter(engine, source, openPeft(folder, source.config, 'CAUSAL_LM'));
  return createNetwork({ engine, base, adapter });
}

/**
 * What the start of a run predicts. With an adapter it is computed when it is first asked for; of full weights, which go with the first step, it is computed
 * for all examples before that, and a run that goes on reads what was found then.
 *
 * @param held by number; asked for are no others
 * @throws RUN_CHECKPOINT if a run of full weights that has taken steps lacks it
 */
export async function startTargets(
  run: Place,
  held: ReadonlyMap<number, Held>,
  onRow: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<StartTargets> {
  const known = new Map<number, RowTargets>();
  const start = startNetwork(run);
  if (start === undefined) {
    await fillKnown(run, held, known, onRow, signal);
    return async (index) => known.get(index)!;
  }
  return async (index) => {
    const { example, positions } = held.get(index)!;
    const targets = known.get(index) ?? (await rowTargets(start, example, positions));
    known.set(index, targets);
    return targets;
  };
}

async function fillKnown(
  run: Place,
  held: ReadonlyMap<number, Held>,
  known: Map<number, RowTargets>,
  onRow: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const file = join(run.path, FILE);
  if (fileExists(file)) return read(file, held, known);
  if (run.isResumed && newestCheckpoint(run.path) !== undefined) throw broken(file, 'is gone');
  onRow(0, held.size);
  for (const [index, { example, positions }] of held) {
    signal.throwIfAborted();
    known.set(index, await rowTargets(run.net, example, positions));
    onRow(known.size, held.size);
  }
  const all = [...known.values()];
  const kept = all[0]?.kept ?? 1;
  const count = all.reduce((n, { rest }) => n + rest.length, 0);
  const tensor = (name: keyof Omit<RowTargets, 'kept'>, width: number) => {
    const data = new Float32Array(count * width);
    let at = 0;
    for (const targets of all) {
      data.set(targets[name], at);
      at += targets[name].length;
    }
    return { name, type: 'F32' as const, shape: [count, width], data };
  };
  writeSafetensors(file, [tensor('ids', kept), tensor('shares', kept), tensor('rest', 1)]);
}

function read(file: string, held: ReadonlyMap<number, Held>, known: Map<number, RowTargets>): void {
  const tensors = new Map(readSafetensorsHeader(file).tensors.map((tensor) => [tensor.name, tensor]));
  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw broken(file, 'does not hold what was predicted');
    return tensor;
  };
  const [ids, shares, rest] = ['ids', 'shares', 'rest'].map((name) => readStored(find(name))) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const kept = find('ids').shape[1]!;
  let at = 0;
  for (const [index, { positions }] of held) {
    const end = at + positions.length;
    known.set(index, {
      kept,
      ids: Int32Array.from(ids.subarray(at * kept, end * kept)),
      shares: shares.slice(at * kept, end * kept),
      rest: rest.slice(at, end),
    });
    at = end;
  }
  if (at !== rest.length) throw broken(file, 'belongs to other rows');
}

function broken(file: string, what: string): TunesmithError {
  const message = `${what}: the predictions of the model as the run started, which it is held to.`;
  return new TunesmithError('RUN_CHECKPOINT', { file, message, fix: 'start the run anew' });
}
