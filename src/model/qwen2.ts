import type { Architecture } from './architecture.ts';
import { parseDecoder, slidingKinds } from './config-reader.ts';
import { llama } from './llama.ts';

/** Qwen 2 and 2.5 (Yang et al. 2024, arXiv:2407.10671): Llama with biases of q, k and v; a window in the later layers where the config asks for it. */
export const qwen2: Architecture = {
  ...llama,
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  parse: (r) => {
    const common = parseDecoder(r, 'qwen2');
    return {
      ...common,
      biases: { qkv: true, output: false, mlp: false },
      layerKinds: slidingKinds(r, common.layers, {
        window: r.flag('use_sliding_window') ? r.number('sliding_window', 4096) : 0,
        isSliding: (layer) => layer >= r.number('max_window_layers', 28),
      }),
    };
  },
  write: () => ({ use_sliding_window: false }),
  gguf: {
    architecture: 'qwen2',
    isPermuted: false,
    normOffset: 0,
    parse: (_r, common) => ({ ...common, biases: { qkv: true, output: false, mlp: false } }),
  },
};
