import { readStored } from '../../io/index.ts';
import { f32 } from '../../tensor/tensor.ts';
import { loadTrained } from '../checkpoint.ts';
import type { RunContext } from '../context.ts';
import { trainedTensors } from '../names.ts';
import { type Network, refreshDerived } from '../network.ts';
import { type Ability, shareUsed } from './budget.ts';
import type { Guard } from './guard.ts';

/** A model on the way from the start to what was trained: a checkpoint at a strength. */
export interface CurvePoint extends Ability {
  readonly step: number;
  /** W + strength * delta. */
  readonly strength: number;
  /** On the selecting rows. */
  readonly loss: number;
  /** Share of the budget. */
  readonly used: number;
}

/** What a search found. */
export interface Found {
  readonly points: readonly CurvePoint[];
  readonly chosen: CurvePoint;
}

/** Strengths between those of the start and of a checkpoint are multiples of it. */
const GRID = 1 / 16;
/** Checkpoints that are looked at: those with the lowest loss. */
const CHECKPOINTS = 3;

/** What a search asks of the network as it stands. */
export interface Measures {
  readonly loss: () => Promise<number>;
  readonly ability: () => Promise<Ability>;
}

/**
 * Looks for the best model within the budget among checkpoints and strengths, on the rows and the text that select: of the checkpoints with the lowest losses
 * those that keep the budget, and of the others the largest strength that does, which is found by halving since forgetting grows with strength.
 * Leaves what was chosen in the network. Where nothing keeps the budget, what forgets least is chosen.
 */
export async function searchWithin(run: RunContext, guard: Guard, measures: Measures): Promise<Found> {
  const { budget, folderOf } = guard;
  const { start, candidates } = guard.state();
  const points: CurvePoint[] = [];
  const used = (ability: Ability) => shareUsed(budget, start, ability);
  for (const one of candidates) points.push({ ...one, strength: 1, used: used(one) });
  const best = [...candidates].sort((a, b) => a.loss - b.loss).slice(0, CHECKPOINTS);
  const steps = isScalable(run) ? Math.round(1 / GRID) : 1;
  const at = async (step: number, strength: number): Promise<CurvePoint> => {
    await placeStrength(run, folderOf(step), strength);
    const ability = await measures.ability();
    const point = { step, strength, loss: await measures.loss(), ...ability, used: used(ability) };
    points.push(point);
    return point;
  };
  for (const one of best) {
    if (used(one) <= 1) break;
    let [within, over] = [0, steps];
    while (over - within > 1) {
      const middle = Math.floor((within + over) / 2);
      const point = await at(one.step, middle * GRID);
      if (point.used <= 1) within = middle;
      else over = middle;
    }
  }
  const chosen = choose(points);
  if (chosen === undefined) throw new Error('internal: a search without a checkpoint');
  await placeStrength(run, folderOf(chosen.step), chosen.strength);
  return { points: points.sort((a, b) => a.generalText - b.generalText), chosen };
}

/** The lowest loss within the budget; where there is none, the least forgetting. */
export function choose(points: readonly CurvePoint[]): CurvePoint | undefined {
  const within = points.filter(({ used }) => used <= 1);
  const by = (key: 'loss' | 'used') => (a: CurvePoint, b: CurvePoint) => a[key] - b[key] || a.strength - b.strength;
  return within.length > 0 ? [...within].sort(by('loss'))[0] : [...points].sort(by('used'))[0];
}

/** Whether what was trained is a difference that one number scales: plain LoRA, or the weights themselves. */
function isScalable({ net, spec }: Pick<RunContext, 'net' | 'spec'>): boolean {
  if (net.adapter === undefined || spec === undefined) return true;
  return (
    spec.settings.kind === 'lora' &&
    !('start' in spec.settings) &&
    spec.saved.length === 0 &&
    spec.tokenRows === undefined
  );
}

/** Puts a checkpoint at a strength in the place of what a network trains: B of LoRA is scaled, weights lie between those of the start and their own. */
export async function placeStrength(
  { net, source }: Pick<RunContext, 'net' | 'source'>,
  folder: string,
  strength: number,
): Promise<void> {
  loadTrained(folder, net);
  if (strength === 1) return;
  for (const { file, place, name, handle } of [...trainedTensors(net)]) {
    if (net.adapter !== undefined && !file.endsWith('lora_B.weight')) continue;
    const data = Float32Array.from((await net.engine.read(handle)).data as Float32Array);
    const start = net.adapter === undefined ? readStored(source.tensors.get(file)!) : undefined;
    for (let i = 0; i < data.length; i++) {
      const from = start?.[i] ?? 0;
      data[i] = from + strength * (data[i]! - from);
    }
    net.engine.release(handle);
    const target: Network['outer'] = place === 'outer' ? net.outer : net.layers[place]!;
    target[name] = net.engine.upload(f32(data, handle.shape));
  }
  refreshDerived(net);
}
