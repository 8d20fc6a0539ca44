import { type OpenModelFile, openModelFile } from '../engine/index.ts';
import type { ModelConfig } from '../model/config.ts';
import type { HostTensor, Shape } from '../tensor/tensor.ts';
import { type Example, IGNORE } from '../text/index.ts';
import type { Logits } from './check.ts';

/**
 * Logits of golden prompts by a written program: the prompt goes in at once, the answer after it over the cache that came out.
 *
 * @param order the examples in the order of `like`, whose matrices say how the positions are grouped
 */
export async function programLogits(
  path: string,
  threads: number,
  config: ModelConfig,
  order: readonly Example[],
  like: Logits,
): Promise<Logits> {
  const file = openModelFile(path, threads);
  try {
    const rows: Float32Array[] = [];
    for (const example of order) rows.push(...(await answerRows(file, config, example)));
    return like.map((matrix) => {
      const count = matrix.length / config.vocabSize;
      const out = new Float32Array(matrix.length);
      for (const [i, row] of rows.splice(0, count).entries()) out.set(row, i * config.vocabSize);
      return out;
    });
  } finally {
    await file.close();
  }
}

/** The logits [V] that predict each token of an answer. */
async function answerRows(file: OpenModelFile, config: ModelConfig, { ids, labels }: Example): Promise<Float32Array[]> {
  const start = labels.findIndex((label) => label !== IGNORE);
  if (start < 1) return [];
  const first = await file.run(feeds(ids, 0, start, emptyCache(config)));
  const rows = [rowsOf(first.logits, config.vocabSize).at(-1)!];
  if (ids.length - start < 2) return rows;
  const cache = Object.fromEntries(
    Object.entries(first)
      .filter(([name]) => name.startsWith('present.'))
      .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
  );
  const rest = await file.run(feeds(ids, start, ids.length - 1, cache));
  return [...rows, ...rowsOf(rest.logits, config.vocabSize)];
}

function feeds(
  ids: Int32Array,
  from: number,
  to: number,
  cache: Readonly<Record<string, HostTensor>>,
): Record<string, HostTensor> {
  const places = Array.from({ length: to - from }, (_, i) => from + i);
  return {
    input_ids: i64(ids.slice(from, to), [1, to - from]),
    attention_mask: i64(new Int32Array(to).fill(1), [1, to]),
    position_ids: i64(places, [1, to - from]),
    ...cache,
  };
}

function emptyCache({ layers, kvHeads, headDim }: ModelConfig): Record<string, HostTensor> {
  const empty: HostTensor = { dtype: 'f32', shape: [1, kvHeads, 0, headDim], data: new Float32Array(0) };
  const names = Array.from({ length: layers }, (_, i) => [`past_key_values.${i}.key`, `past_key_values.${i}.value`]);
  return Object.fromEntries(names.flat().map((name) => [name, empty]));
}

/** Whole numbers as programs take ids. */
export function i64(values: ArrayLike<number>, shape: Shape): HostTensor {
  return { dtype: 'i64', shape, data: BigInt64Array.from(Array.from(values, BigInt)) };
}

function rowsOf(tensor: HostTensor | undefined, width: number): Float32Array[] {
  if (tensor === undefined) throw new Error('internal: a program without logits');
  const data = tensor.data as Float32Array;
  return Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width));
}
