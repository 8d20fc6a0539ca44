// Shape legend: N tokens, H heads, K head width
import type { Builder, Value } from '../graph/index.ts';
import { f32, type HostTensor } from '../tensor/tensor.ts';
import type { ModelConfig, RopeConfig } from './config.ts';

/** Angle per position of each pair of coordinates, in float32 steps as transformers computes them. */
export function inverseFrequencies(rope: RopeConfig, rotaryDim: number): Float32Array {
  const out = new Float32Array(rotaryDim / 2);
  for (let i = 0; i < out.length; i++) {
    const plain = Math.fround(1 / Math.fround(rope.theta ** Math.fround((2 * i) / rotaryDim)));
    out[i] = scaleFrequency(plain, i, rope.scaling);
  }
  return out;
}

function scaleFrequency(frequency: number, index: number, scaling: RopeConfig['scaling']): number {
  if (scaling.kind === 'none') return frequency;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  if (scaling.kind === 'factors') return frequency / scaling.factors[index]!;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** cos and sin of each token's position, [N, rotaryDim / 2] each. */
export function ropeTables(
  rope: RopeConfig,
  rotaryDim: number,
  positions: Int32Array,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const frequencies = inverseFrequencies(rope, rotaryDim);
  const scale = rope.scaling.kind === 'factors' ? rope.scaling.attentionFactor : 1;
  const half = frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (const [n, position] of positions.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]!);
      cos[n * half + i] = scale * Math.cos(angle);
      sin[n * half + i] = scale * Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** The tables of all rotations that a model has, by their input names: `cos`, `sin`, and those of its local layers; [N, rotaryDim / 2] each. */
export function rotationTables(config: ModelConfig, positions: Int32Array): Record<string, HostTensor> {
  const shape = [positions.length, config.rotaryDim / 2];
  const kinds = new Set(config.layerKinds.map((kind) => kind.rope));
  const tables: Record<string, HostTensor> = {};
  for (const kind of ['global', 'local'] as const) {
    if (!kinds.has(kind)) continue;
    const { cos, sin } = ropeTables(ropeOf(config, kind), config.rotaryDim, positions);
    const names = rotationInputs(kind);
    tables[names.cos] = f32(cos, shape);
    tables[names.sin] = f32(sin, shape);
  }
  return tables;
}

/** Names of the inputs that hold a rotation's tables. */
export function rotationInputs(kind: 'global' | 'local'): { readonly cos: string; readonly sin: string } {
  return kind === 'global' ? { cos: 'cos', sin: 'sin' } : { cos: 'cos.local', sin: 'sin.local' };
}

function ropeOf({ rope, localRope }: ModelConfig, kind: 'global' | 'local'): RopeConfig {
  if (kind === 'global') return rope;
  if (localRope === undefined) throw new Error('internal: a local layer without a rotation of its own');
  return localRope;
}

/**
 * Turns the heads of x [N, heads * K] by cos and sin [N, rotaryDim / 2]; of heads wider than that the rest stays as it is.
 */
export function rotate(g: Builder, x: Value, headDim: number, { cos, sin }: { cos: Value; sin: Value }): Value {
  const turned = 2 * cos.shape[1]!;
  if (turned === headDim) return g.rope(x, cos, sin);
  const [n, width] = x.shape as [number, number];
  const heads = width / headDim;
  const x_NHK = g.reshape(x, [n, heads, headDim]);
  const first = g.reshape(g.slice(x_NHK, { axis: 2, start: 0, end: turned }), [n, heads * turned]);
  const rest = g.slice(x_NHK, { axis: 2, start: turned, end: headDim });
  return g.reshape(g.concat([g.reshape(g.rope(first, cos, sin), [n, heads, turned]), rest], 2), [n, width]);
}
