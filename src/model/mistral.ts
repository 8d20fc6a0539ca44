import type { Architecture } from './architecture.ts';
import { everyLayer, parseDecoder } from './config-reader.ts';
import { llama } from './llama.ts';

/** Mistral (Jiang et al. 2023, arXiv:2310.06825): Llama with a sliding window in every layer. GGUF files call it llama. */
export const mistral: Architecture = {
  ...llama,
  modelType: 'mistral',
  className: 'MistralForCausalLM',
  parse: (r) => {
    const common = parseDecoder(r, 'mistral');
    return {
      ...common,
      layerKinds: everyLayer(common.layers, { rope: 'global', window: r.number('sliding_window', 0) }),
    };
  },
  write: (c) => ({ sliding_window: c.layerKinds[0]?.window || null }),
};
