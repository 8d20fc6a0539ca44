import { join } from 'node:path';
import type { Engine, Handle } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import {
  fetchedPieces,
  fileExists,
  folderExists,
  listFolder,
  readJson,
  readSafetensorsHeader,
  readStoredRaw,
  recoverFolder,
  remove,
  type StoredTensor,
  type TensorToFetch,
  type TensorToWrite,
  writeAtomic,
  writeFolderAtomic,
  writeStreamed,
} from '../io/index.ts';
import { fromHfFolder } from '../model/hf-layout.ts';
import { storedTrained } from '../model/peft.ts';
import { trainedTensors } from './names.ts';
import { type Network, refreshDerived } from './network.ts';
import type { GuardState } from './retain/guard.ts';
import type { OptimizerState, Place } from './step.ts';

/** Where a run stands; with the tensors beside it, all that a resumed run needs. Random numbers and the data cursor follow from the step. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  /** Bytes of events.jsonl up to this checkpoint, its own event not included. */
  readonly eventBytes: number;
  /** Bytes of rows.jsonl up to this checkpoint; 0 in runs from before there was one. */
  readonly rowBytes: number;
  /** Lowest loss on the selecting rows, and the step that had it. */
  readonly best: { readonly step: number; readonly loss: number } | undefined;
  /** Evaluations since the best one. */
  readonly sinceBest: number;
  /** The evaluation of this step was due but had not been made when the run was interrupted. */
  readonly pendingEval: boolean;
  /** Loss of the base on the reporting rows. */
  readonly reportBase: { readonly loss: number; readonly tokens: number } | undefined;
  /** What is remembered of forgetting, where there is a budget. */
  readonly guard?: GuardState | undefined;
}

/** Writes the tensors that train as a model folder: a PEFT folder, or one in Hugging Face layout. */
export type WriteModel = (folder: string, tensors: readonly TensorToWrite<'F32'>[]) => void;

/** `step-000100` */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(6, '0')}`;
}

/** Reads what trains out of the engine. */
export async function readTrained(net: Network): Promise<TensorToWrite<'F32'>[]> {
  const tensors: TensorToWrite<'F32'>[] = [];
  for (const { file, handle } of trainedTensors(net)) {
    const { shape, data } = await net.engine.read(handle);
    tensors.push({ name: file, type: 'F32', shape, data });
  }
  return tensors;
}

/** Writes a checkpoint whole or not at all. */
export async function saveCheckpoint(
  run: string,
  net: Network,
  state: OptimizerState,
  progress: Progress,
  writeModel: WriteModel,
): Promise<{ readonly path: string; readonly tensors: readonly TensorToWrite<'F32'>[] }> {
  const path = join(run, 'checkpoints', checkpointName(progress.step));
  const tensors = await readTrained(net);
  await writeFolderAtomic(path, async (folder) => {
    writeModel(folder, tensors);
    await writeStreamed(join(folder, 'optimizer.safetensors'), fetchedPieces(stateTensors(net, state)));
    writeAtomic(join(folder, 'progress.json'), `${JSON.stringify(progress, null, 2)}\n`);
  });
  return { path, tensors };
}

/** One tensor at a time: what is asked for together lies in both processes, and on its way between them, all at once. */
function stateTensors(net: Network, state: OptimizerState): TensorToFetch<'F32' | 'U8'>[] {
  return [...trainedTensors(net)].flatMap(({ file, place, name }) =>
    Object.entries(state.get(place)![name]!).map(([slot, handle]) => ({
      name: `${slot}.${file}`,
      type: handle.dtype === 'u8' ? ('U8' as const) : ('F32' as const),
      shape: handle.shape,
      fetch: async () => (await net.engine.read(handle)).data,
    })),
  );
}

/** The newest checkpoint of a run, by its step. */
export function newestCheckpoint(run: string): string | undefined {
  const folder = join(run, 'checkpoints');
  if (!folderExists(folder)) return undefined;
  const names = listFolder(folder).filter((name) => /^step-\d{6,}$/.test(name));
  const newest = names.sort((a, b) => stepOf(a) - stepOf(b)).at(-1);
  return newest === undefined ? undefined : join(folder, newest);
}

function stepOf(name: string): number {
  return Number(name.slice('step-'.length));
}

/** Reads progress.json of a checkpoint. @throws RUN_CHECKPOINT */
export function readProgress(checkpoint: string): Progress {
  const file = join(checkpoint, 'progress.json');
  const json = readJson(file) as Partial<Progress>;
  if (typeof json.step === 'number' && typeof json.eventBytes === 'number' && typeof json.sinceBest === 'number') {
    const { step, eventBytes, rowBytes = 0, sinceBest, best, reportBase, pendingEval = false, guard } = json;
    return { step, eventBytes, rowBytes, sinceBest, best, reportBase, pendingEval, guard };
  }
  throw new TunesmithError('RUN_CHECKPOINT', { file, message: 'does not say where the run stood.' });
}

/** Loads parameters and optimiser state of a checkpoint into a network that has just been made. @throws RUN_CHECKPOINT */
export function restoreCheckpoint(checkpoint: string, net: Network, state: OptimizerState): void {
  recoverFolder(checkpoint);
  loadTrained(checkpoint, net);
  const stored = tensorsOf(join(checkpoint, 'optimizer.safetensors'));
  const restored = new Map<Place, Record<string, Record<string, Handle>>>();
  for (const { file, place, name } of trainedTensors(net)) {
    const slots = Object.entries(state.get(place)![name]!).map(
      ([slot, handle]) => [slot, exchange(net.engine, handle, stored, `${slot}.${file}`, checkpoint)] as const,
    );
    restored.set(place, { ...restored.get(place), [name]: Object.fromEntries(slots) });
  }
  for (const [place, group] of restored) state.set(place, group);
}

/** Puts the weights of a checkpoint, of best/ or of last/ in the place of those that a network trains. @throws RUN_CHECKPOINT */
export function loadTrained(folder: string, net: Network): void {
  const names = ['adapter_model.safetensors', 'model.safetensors'];
  const weightFile = names.map((name) => join(folder, name)).find(fileExists);
  if (weightFile === undefined)
    throw new TunesmithError('RUN_CHECKPOINT', { file: folder, message: 'holds no weights.' });
  const stored = tensorsOf(weightFile);
  const weights = net.adapter === undefined ? fromHfFolder(net.config, [...stored.values()]) : stored;
  for (const { file, place, name, handle } of [...trainedTensors(net)]) {
    const target = place === 'outer' ? net.outer : net.layers[place]!;
    target[name] = exchangeTrained(net, handle, weights, file, folder);
  }
  refreshDerived(net);
}

/** As {@link exchange}, for a tensor that an adapter's folder may hold in another form. */
function exchangeTrained(
  { engine, adapter }: Network,
  old: Handle,
  tensors: ReadonlyMap<string, StoredTensor>,
  name: string,
  folder: string,
): Handle {
  const stored = tensors.get(name);
  const found = stored && adapter && storedTrained(adapter.spec, name, stored, old.shape)?.trained;
  if (found === undefined || 'path' in found) return exchange(engine, old, tensors, name, folder);
  engine.release(old);
  return engine.upload(found);
}

/** Releases a handle and loads the tensor of that name and shape instead. */
function exchange(
  engine: Engine,
  old: Handle,
  tensors: ReadonlyMap<string, StoredTensor>,
  name: string,
  folder: string,
): Handle {
  const stored = tensors.get(name);
  const fits = stored !== undefined && String(stored.shape) === String(old.shape);
  if (!fits || (stored.type === 'U8') !== (old.dtype === 'u8')) {
    const message = `tensor ${name} is missing or of another shape or type.`;
    throw new TunesmithError('RUN_CHECKPOINT', { file: folder, message });
  }
  engine.release(old);
  if (old.dtype === 'u8') return engine.upload({ dtype: 'u8', shape: stored.shape, data: readStoredRaw(stored) });
  return engine.upload({ stored: [stored], shape: stored.shape });
}

function tensorsOf(file: string): Map<string, StoredTensor> {
  return new Map(readSafetensorsHeader(file).tensors.map((t) => [t.name, t]));
}

/** Removes old checkpoints: the newest stays always, and `keep` more. */
export function pruneCheckpoints(run: string, keep: number): void {
  const folder = join(run, 'checkpoints');
  const names = listFolder(folder)
    .filter((name) => /^step-\d{6,}$/.test(name))
    .sort((a, b) => stepOf(a) - stepOf(b));
  for (const name of names.slice(0, Math.max(0, names.length - 1 - keep))) remove(join(folder, name));
}
