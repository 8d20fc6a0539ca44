import type { StoredTensor, TensorToWrite } from '../io/index.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { architectureOf, linearModules } from './architectures.ts';
import type { ModelConfig } from './config.ts';
import { layerOfTensor } from './names.ts';

/** Buffers that older folders hold beside the weights. */
const BUFFERS = /\.(?:rotary_emb\.inv_freq|attn\.bias|attn\.masked_bias)$/;

/**
 * The tensors of a Hugging Face folder by our names and in our layout: matrices of linear modules as [out, in]. Folders of a model without its head leave
 * out the first part of every name; buffers go.
 */
export function fromHfFolder(config: ModelConfig, tensors: readonly StoredTensor[]): Map<string, StoredTensor> {
  const root = architectureOf(config).layersPrefix.split('.')[0]!;
  const isBare = !tensors.some(({ name }) => name.startsWith(`${root}.`));
  const byName = new Map<string, StoredTensor>();
  for (const tensor of tensors) {
    const name = isBare && tensor.name !== 'lm_head.weight' ? `${root}.${tensor.name}` : tensor.name;
    if (BUFFERS.test(name)) continue;
    const turned = isTransposed(config, name) && tensor.shape.length === 2;
    byName.set(name, turned ? { ...tensor, shape: tensor.shape.toReversed(), isTransposed: true } : tensor);
  }
  return byName;
}

/** Whether a Hugging Face folder holds this tensor as [in, out]. */
export function isTransposed(config: ModelConfig, name: string): boolean {
  if (!architectureOf(config).isTransposed) return false;
  const place = layerOfTensor(config, name);
  return place !== undefined && linearModules(config, place.layer).some((m) => place.name === `${m.module}.weight`);
}

/** A tensor as a Hugging Face folder holds it. */
export function toHfFolder(config: ModelConfig, tensor: TensorToWrite<'F32'>): TensorToWrite<'F32'> {
  if (!isTransposed(config, tensor.name)) return tensor;
  const [rows, columns] = tensor.shape as [number, number];
  const given = tensor.data;
  const data = () => {
    const view = typeof given === 'function' ? given() : given;
    if (!ArrayBuffer.isView(view)) throw new Error(`internal: ${tensor.name} comes in pieces`);
    return transposed(new Float32Array(view.buffer, view.byteOffset, sizeOf(tensor.shape)), rows, columns);
  };
  return { ...tensor, shape: [columns, rows], data };
}

/** A matrix [rows, columns] as [columns, rows]. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  }
  return out;
}
