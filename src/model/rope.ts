import type { ModelConfig, RopeConfig } from './config.ts';

/** Angle per position of each pair of coordinates, in float32 steps as transformers computes them. */
export function inverseFrequencies(rope: RopeConfig, headDim: number): Float32Array {
  const out = new Float32Array(headDim / 2);
  for (let i = 0; i < out.length; i++) {
    const plain = Math.fround(1 / Math.fround(rope.theta ** Math.fround((2 * i) / headDim)));
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

/** cos and sin of each token's position, [N, headDim / 2] each. */
export function ropeTables(
  config: Pick<ModelConfig, 'rope' | 'headDim'>,
  positions: Int32Array,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const frequencies = inverseFrequencies(config.rope, config.headDim);
  const half = frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (const [n, position] of positions.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]!);
      cos[n * half + i] = Math.cos(angle);
      sin[n * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
