import { type Engine, openOrt } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { createBuilder, finishGraph } from '../graph/index.ts';
import { f32 } from '../tensor/tensor.ts';

/**
 * Starts an engine, and computes a sum on a GPU before gigabytes are loaded for it: a device that is asked for and not there is an error, never
 * another device.
 *
 * @throws DEVICE_UNAVAILABLE
 */
export async function openDevice(device: Engine['device'], threads: number): Promise<Engine> {
  const engine = openOrt({ device, threads, optimize: 'on' });
  if (device === 'cpu') return engine;
  try {
    await computeSum(engine);
    return engine;
  } catch (cause) {
    await engine.close();
    // What native code says is pages long; its last sentence names the reason.
    const why = /Failed to [^.\n]*/.exec(cause instanceof Error ? cause.message : String(cause))?.[0];
    const message = `--device ${device} cannot be used here${why === undefined ? '.' : `: ${why}.`}`;
    throw new TunesmithError('DEVICE_UNAVAILABLE', { message, cause });
  }
}

async function computeSum(engine: Engine): Promise<void> {
  const g = createBuilder();
  const x = g.input('x', [4]);
  const program = engine.compile(finishGraph(g, { y: g.add(x, x) }));
  const given = engine.upload(f32(Float32Array.of(1, 2, 3, 4), [4]));
  const { y } = engine.run(program, { x: given });
  await engine.read(y!);
  engine.release(given, y!);
}
