import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensors } from '../../src/io/index.ts';
import { fillNormal } from '../../src/math/random.ts';
import { parseHfConfig } from '../../src/model/config.ts';
import { toHfFolder } from '../../src/model/hf-layout.ts';
import { expectedTensors } from '../../src/model/weights.ts';
import { sizeOf } from '../../src/tensor/tensor.ts';
import { writeTinyChatModel } from './tiny-chat-model.ts';

const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url));

/** Folders of test/golden with one model for each architecture. */
export const FAMILIES = [
  'llama',
  'llama-tied-rope3',
  'llama-rope-linear',
  'qwen2',
  'qwen3',
  'qwen3-moe',
  'smollm3',
  'gemma3',
  'phi3',
  'olmo2',
  'gpt2',
] as const;

/** llama.cpp knows one pattern of layers only: every fourth without rotation, every sixth without a window. */
const PATTERNS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  smollm3: { num_hidden_layers: 4, no_rope_layers: [1, 1, 1, 0], layer_types: undefined },
  gemma3: {
    num_hidden_layers: 6,
    layer_types: Array.from({ length: 6 }, (_, i) => (i === 5 ? 'full_attention' : 'sliding_attention')),
  },
};

/** Writes a random model of the shape of a golden one, with a byte-level tokenizer and a chat template. */
export function writeTinyFamily(folder: string, family: (typeof FAMILIES)[number]): string {
  writeTinyChatModel(folder);
  const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const { vocab_size, bos_token_id, eos_token_id } = read(path.join(folder, 'config.json'));
  const own = read(path.join(GOLDEN, family, 'model', 'config.json'));
  const config = { ...own, ...PATTERNS[family], vocab_size, bos_token_id, eos_token_id, pad_token_id: null };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  const parsed = parseHfConfig(config, 'config.json');
  const tensors = [...expectedTensors(parsed)].map(([name, shape], a) => {
    const mean = /norm\.weight$|ln_\w+\.weight$/.test(name) && parsed.modelType !== 'gemma3_text' ? 1 : 0;
    const data = fillNormal(new Float32Array(sizeOf(shape)), mean, 0.1, { seed: 7, purpose: 'family', a });
    return toHfFolder(parsed, { name, type: 'F32', shape, data });
  });
  writeSafetensors(path.join(folder, 'model.safetensors'), tensors);
  return folder;
}
