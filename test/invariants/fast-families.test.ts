import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Engine, openOrtHere } from '../../src/engine/index.ts';
import { createDecoder, type Decoder, openStoredBase } from '../../src/generate/decoder.ts';
import { writeGguf } from '../../src/io/gguf-write.ts';
import { writeSafetensors } from '../../src/io/index.ts';
import { fillNormal } from '../../src/math/random.ts';
import { uploadBase } from '../../src/model/base.ts';
import { parseHfConfig } from '../../src/model/config.ts';
import { toHfFolder } from '../../src/model/hf-layout.ts';
import { openModelSource } from '../../src/model/source.ts';
import { expectedTensors } from '../../src/model/weights.ts';
import { sizeOf } from '../../src/tensor/tensor.ts';
import { temporaryFolder } from '../support/cli.ts';
import { ggufMetadata, ggufTensors } from '../support/gguf-form.ts';

const COMMON = {
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  vocab_size: 128,
  max_position_embeddings: 64,
};
const FAMILIES: readonly Record<string, unknown>[] = [
  { model_type: 'llama', ...COMMON },
  { model_type: 'mistral', ...COMMON, sliding_window: 8 },
  { model_type: 'qwen2', ...COMMON },
  { model_type: 'qwen3', ...COMMON },
  { model_type: 'smollm3', ...COMMON },
  { model_type: 'gemma3_text', ...COMMON, sliding_window: 8, query_pre_attn_scalar: 16 },
  { model_type: 'phi3', ...COMMON },
  { model_type: 'olmo2', ...COMMON },
  { model_type: 'gpt2', n_embd: 64, n_inner: 96, n_layer: 4, n_head: 4, n_positions: 64, vocab_size: 128 },
  // All experts are chosen: rounding lets a random router choose others, and then nothing is alike.
  { model_type: 'qwen3_moe', ...COMMON, num_experts: 4, num_experts_per_tok: 4, moe_intermediate_size: 32 },
];
const temporary = temporaryFolder();

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

/** A random model as a GGUF file. */
function randomGguf(json: Record<string, unknown>): string {
  const name = String(json.model_type);
  const folder = path.join(temporary, name);
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(json));
  const config = parseHfConfig(json, 'config.json');
  const tensors = [...expectedTensors(config)].map(([tensor, shape]) => {
    const isNorm = shape.length === 1 && tensor.endsWith('weight');
    const mean = isNorm && name !== 'gemma3_text' ? 1 : 0;
    const deviation = shape.length === 1 ? 0.1 : shape[1]! ** -0.5;
    const data = fillNormal(new Float32Array(sizeOf(shape)), mean, deviation, { seed: 1, purpose: tensor });
    return toHfFolder(config, { name: tensor, type: 'F32', shape, data });
  });
  writeSafetensors(path.join(folder, 'model.safetensors'), tensors);
  const source = openModelSource(folder);
  const file = path.join(temporary, `${name}.gguf`);
  writeGguf(file, { metadata: ggufMetadata(source.config), tensors: ggufTensors(source) });
  return file;
}

async function logitsOf(decoder: Decoder, ids: readonly number[]): Promise<Float32Array[]> {
  const cache = decoder.allocate(1, 64);
  const rows = [await decoder.prefill(cache, ids.slice(0, 12))];
  for (let position = 12; position < ids.length; position++) {
    rows.push(await decoder.step(cache, [{ id: ids[position]!, position }]));
  }
  return rows;
}

test.each(FAMILIES.map((json) => [String(json.model_type), json] as const))(
  '%s gives fast about what it gives exactly',
  async (_, json) => {
    const { config, tensors } = openModelSource(randomGguf(json));
    const ids = Array.from({ length: 24 }, (_, i) => (i * i * 7 + i * 3 + 5) % 128);
    const exact = await logitsOf(createDecoder({ engine, base: uploadBase(engine, config, tensors) }), ids);
    const fast = await logitsOf(createDecoder({ engine, base: openStoredBase(engine, config, tensors) }), ids);
    const distances = exact.map((expected, i) => {
      const scale = Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0));
      return Math.sqrt(fast[i]!.reduce((sum, x, v) => sum + (x - expected[v]!) ** 2, 0)) / scale;
    });
    // Weights and activations are rounded to 8 bits.
    expect(Math.max(...distances)).toBeLessThan(0.08);
  },
);
