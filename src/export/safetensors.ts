import { join } from 'node:path';
import { storedBytes } from '../io/blocks.ts';
import { floatsToBytes } from '../io/half.ts';
import { safetensorsPieces } from '../io/safetensors.ts';
import type { TensorToWrite } from '../io/tensor-to-write.ts';
import { writeStreamed } from '../io/write-streamed.ts';
import { isTransposed, transposed } from '../model/hf-layout.ts';
import { openModelSource } from '../model/source.ts';
import { openText } from '../text/index.ts';
import { writeCompanions, writeJson } from './companions.ts';
import { type MergedModel, mergedTensor } from './merge.ts';
import { encodedPieces } from './pieces.ts';
import type { ExportJob, Writer } from './types.ts';

/** Number formats of merged safetensors. */
export type FloatType = 'F32' | 'F16' | 'BF16';

/** Merged weights in Hugging Face layout, cut into shards by size. */
export const safetensorsWriter: Writer = {
  plan: (job) => ({ bytes: sum(mergedTensors(job.merged, floatType(job)).map(bytesOf)), fallbacks: [] }),
  async write(job, folder, onBytes) {
    const type = floatType(job);
    writeCompanions(folder, job, type);
    const tensors = mergedTensors(job.merged, type);
    const shards = cutShards(tensors, job.shardBytes);
    for (const [i, shard] of shards.entries()) {
      await writeStreamed(join(folder, shardName(i, shards.length)), safetensorsPieces(shard), onBytes);
    }
    if (shards.length > 1) writeJson(join(folder, 'model.safetensors.index.json'), indexOf(shards));
  },
  readBack: (_, folder, now) => {
    const source = openModelSource(folder);
    return {
      model: { kind: 'weights', source, adapter: undefined },
      tools: source.text && openText(source.text, { now }),
    };
  },
  next: (_, folder) => `AutoModelForCausalLM.from_pretrained(${JSON.stringify(folder)}) in transformers loads it.`,
};

/** The float type that an export was asked for. */
export function floatType(job: ExportJob): FloatType {
  switch (job.quant) {
    case 'f32':
      return 'F32';
    case 'bf16':
      return 'BF16';
    default:
      return 'F16';
  }
}

function mergedTensors(model: MergedModel, type: FloatType): TensorToWrite<FloatType>[] {
  return [...model.shapes].map(([name, shape]) => {
    if (!isTransposed(model.source.config, name)) {
      return { name, type, shape, data: () => encodedPieces(model, name, (values) => floatsToBytes(values, type)) };
    }
    const [rows = 0, columns = 0] = shape;
    const data = () => floatsToBytes(transposed(mergedTensor(model, name), rows, columns), type);
    return { name, type, shape: [columns, rows], data };
  });
}

/**
 * Cuts tensors into shards of at most so many bytes, in their order; a tensor that is larger has a shard of its own.
 *
 * @returns at least one shard
 */
export function cutShards<T extends Pick<TensorToWrite, 'type' | 'shape'>>(
  tensors: readonly T[],
  mostBytes: number,
): T[][] {
  const shards: T[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (filled > 0 && filled + bytes > mostBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += bytes;
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors';
  const number = (n: number) => String(n).padStart(5, '0');
  return `model-${number(index + 1)}-of-${number(count)}.safetensors`;
}

function indexOf(shards: readonly (readonly TensorToWrite[])[]): Record<string, unknown> {
  const entries = shards.flatMap((shard, i) => shard.map(({ name }) => [name, shardName(i, shards.length)] as const));
  return {
    metadata: { total_size: sum(shards.flat().map(bytesOf)) },
    weight_map: Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function bytesOf({ type, shape }: Pick<TensorToWrite, 'type' | 'shape'>): number {
  return storedBytes(type, shape) ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
