import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { writeSafetensors } from '../../src/io/index.ts';
import { fillNormal } from '../../src/math/random.ts';
import { parseHfConfig } from '../../src/model/config.ts';
import { expectedTensors } from '../../src/model/weights.ts';
import { sizeOf } from '../../src/tensor/tensor.ts';
import { byteTokenizerJson } from './tokenizers.ts';

/** ChatML, as many models have it. */
const CHATML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

/** Writes a random model of some 40,000 weights with a byte-level tokenizer and a chat template, in Hugging Face layout. */
export function writeTinyChatModel(folder: string, overrides: Readonly<Record<string, unknown>> = {}): string {
  const tokenizer = byteTokenizerJson() as {
    model: { vocab: object };
    added_tokens: { id: number; content: string }[];
  };
  const idOf = (content: string) => tokenizer.added_tokens.find((token) => token.content === content)?.id;
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    vocab_size: Object.keys(tokenizer.model.vocab).length + tokenizer.added_tokens.length,
    tie_word_embeddings: true,
    max_position_embeddings: 512,
    bos_token_id: idOf('<s>'),
    eos_token_id: idOf('</s>'),
    torch_dtype: 'float32',
    ...overrides,
  };
  mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown) => writeFileSync(path.join(folder, name), JSON.stringify(value));
  write('config.json', config);
  write('tokenizer.json', tokenizer);
  write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', chat_template: CHATML });
  const expected = [...expectedTensors(parseHfConfig(config, 'config.json'))];
  const tensors = expected.map(([name, shape], a) => {
    const isNorm = name.endsWith('norm.weight');
    const data = fillNormal(new Float32Array(sizeOf(shape)), isNorm ? 1 : 0, 0.1, { seed: 7, purpose: 'tiny', a });
    return { name, type: 'F32' as const, shape, data };
  });
  writeSafetensors(path.join(folder, 'model.safetensors'), tensors);
  return folder;
}
