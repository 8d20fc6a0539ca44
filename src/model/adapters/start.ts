// Shape legend: O outputs, I inputs, R rank
import { f32, type HostTensor } from '../../tensor/tensor.ts';

/**
 * The factors of W x + scale (B A - B0 A0) x as one pair of twice the rank, [B, -B0] and [A; A0]: plain LoRA, as peft's
 * `path_initial_model_for_weight_conversion` saves PiSSA and OLoRA.
 */
export function joinFactor(name: string, trained: HostTensor, start: HostTensor): HostTensor {
  const [own, first] = [trained.data as Float32Array, start.data as Float32Array];
  const [rows, columns] = trained.shape as [number, number];
  const data = new Float32Array(2 * own.length);
  if (isA(name)) {
    data.set(own);
    data.set(first, own.length);
    return f32(data, [2 * rows, columns]);
  }
  for (let o = 0; o < rows; o++) {
    for (let r = 0; r < columns; r++) {
      data[o * 2 * columns + r] = own[o * columns + r]!;
      data[(o * 2 + 1) * columns + r] = -first[o * columns + r]!;
    }
  }
  return f32(data, [rows, 2 * columns]);
}

/** Takes {@link joinFactor} apart. */
export function splitFactor(
  name: string,
  joined: HostTensor,
): { readonly trained: HostTensor; readonly start: HostTensor } {
  const data = joined.data as Float32Array;
  const [rows, columns] = joined.shape as [number, number];
  if (isA(name)) {
    const shape = [rows / 2, columns];
    const half = data.length / 2;
    return { trained: f32(data.slice(0, half), shape), start: f32(data.slice(half), shape) };
  }
  const half = columns / 2;
  const shape = [rows, half];
  const [trained, start] = [new Float32Array(rows * half), new Float32Array(rows * half)];
  for (let o = 0; o < rows; o++) {
    for (let r = 0; r < half; r++) {
      trained[o * half + r] = data[o * columns + r]!;
      start[o * half + r] = -data[o * columns + half + r]!;
    }
  }
  return { trained: f32(trained, shape), start: f32(start, shape) };
}

/** The shape of {@link joinFactor}'s result. */
export function joinedShape(name: string, [rows, columns]: readonly number[]): number[] {
  return isA(name) ? [2 * rows!, columns!] : [rows!, 2 * columns!];
}

/** `<module>.lora_A0.weight` for `<module>.lora_A.weight`. */
export function startName(name: string): string {
  return name.replace(/lora_([AB])\.weight$/, 'lora_$10.weight');
}

function isA(name: string): boolean {
  return name.endsWith('lora_A.weight');
}
