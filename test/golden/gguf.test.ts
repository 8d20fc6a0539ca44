import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeGguf } from '../../src/io/gguf-write.ts';
import { readStored } from '../../src/io/index.ts';
import { openModelSource } from '../../src/model/source.ts';
import { temporaryFolder } from '../support/cli.ts';
import { ggufMetadata, ggufTensors } from '../support/gguf-form.ts';
import { GOLDENS } from './names.ts';

const temporary = temporaryFolder();

/** What GGUF files do not say: a mistral is a llama there, and scaling of rotations has other forms. */
const NAMES = GOLDENS.filter((name) => !name.startsWith('llama-'));
/**
 * Patterns that llama.cpp has no key for: every sixth layer of Gemma 3 sees all, every fourth of SmolLM3 has no positions; Qwen 2 has no window there.
 */
const UNSAID = ['gemma3', 'smollm3', 'qwen2-window'];

describe.each(NAMES)('golden %s as a GGUF file', (name) => {
  const folder = openModelSource(join(import.meta.dirname, name, 'model'));
  const file = join(temporary, `${name}.gguf`);
  writeGguf(file, { metadata: ggufMetadata(folder.config), tensors: ggufTensors(folder) });
  const gguf = openModelSource(file);

  test('has the configuration of the folder', () => {
    const { eosIds: _, layerKinds, modelType, ...expected } = folder.config;
    const { layerKinds: kinds, ...config } = gguf.config;
    for (const [key, value] of Object.entries(expected)) {
      if (typeof value === 'number') expect(config[key as keyof typeof config], key).toBeCloseTo(value, 8);
      else expect(rounded(config[key as keyof typeof config]), key).toEqual(rounded(value));
    }
    expect(config.modelType).toBe(modelType === 'mistral' ? 'llama' : modelType);
    if (!UNSAID.includes(name)) expect(kinds).toEqual(layerKinds);
  });

  test('has the tensors of the folder', () => {
    expect([...gguf.tensors.keys()].sort()).toEqual([...folder.tensors.keys()].sort());
    for (const [tensor, stored] of folder.tensors) {
      const actual = gguf.tensors.get(tensor)!;
      expect(actual.shape, tensor).toEqual(stored.shape);
      const [got, expected] = [readStored(actual), readStored(stored)];
      expect(Math.max(...got.map((x, i) => Math.abs(x - expected[i]!))), tensor).toBeLessThan(5e-7);
    }
  });
});

/** Without what metadata in float32 cannot hold. */
function rounded(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, x) => (typeof x === 'number' ? Math.fround(x) : x)) ?? 'null');
}
