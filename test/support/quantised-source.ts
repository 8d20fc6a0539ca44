import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCKS, readStored, type StoredTensor } from '../../src/io/index.ts';
import { type EncodedType, quantize } from '../../src/io/quantize.ts';
import { restingMatrices } from '../../src/model/base-weights.ts';
import type { ModelSource } from '../../src/model/source.ts';

/** The model with its matrices stored in blocks of a type, as a GGUF file has them. */
export function quantisedSource(source: ModelSource, type: EncodedType, folder: string): ModelSource {
  const path = join(folder, `${type}.bin`);
  const tensors = new Map<string, StoredTensor>(source.tensors);
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const name of restingMatrices(source.config)) {
    const { shape } = source.tensors.get(name)!;
    if (shape[1]! % BLOCKS[type].values !== 0) throw new Error(`${name} [${shape}] has no whole blocks of ${type}`);
    const bytes = quantize(type, readStored(source.tensors.get(name)!));
    tensors.set(name, { name, type, shape, path, offset, bytes: bytes.length });
    parts.push(bytes);
    offset += bytes.length;
  }
  writeFileSync(path, Buffer.concat(parts));
  return { ...source, tensors };
}
