import type { Architecture } from './architecture.ts';
import type { LayerKind } from './config.ts';
import { type ConfigReader, parseDecoder, slidingKinds } from './config-reader.ts';
import { llama } from './llama.ts';

/** llama.cpp knows no other. */
const INTERVAL = 4;

/** SmolLM3: Llama whose every fourth layer has no positions (Yang et al. 2025, arXiv:2501.18795). */
export const smollm3: Architecture = {
  ...llama,
  modelType: 'smollm3',
  className: 'SmolLM3ForCausalLM',
  parse: (r) => {
    const common = parseDecoder(r, 'smollm3', { isTied: true });
    const bias = r.flag('attention_bias');
    const hasRope = rotatedLayers(r, common.layers);
    const kinds = slidingKinds(r, common.layers, {
      window: r.flag('use_sliding_window') ? r.number('sliding_window') : 0,
      isSliding: (layer) => !hasRope(layer),
    });
    return {
      ...common,
      biases: { qkv: bias, output: bias, mlp: r.flag('mlp_bias') },
      layerKinds: kinds.map((kind, layer) => ({ ...kind, rope: hasRope(layer) ? 'global' : 'none' })),
    };
  },
  write: (c) => ({
    ...llama.write(c),
    use_sliding_window: false,
    no_rope_layers: c.layerKinds.map(({ rope }) => (rope === 'none' ? 0 : 1)),
  }),
  gguf: {
    architecture: 'smollm3',
    isPermuted: true,
    normOffset: 0,
    parse: (_r, common) => ({
      ...common,
      layerKinds: common.layerKinds.map(
        (kind, layer): LayerKind => ({ ...kind, rope: (layer + 1) % INTERVAL === 0 ? 'none' : 'global' }),
      ),
    }),
  },
};

function rotatedLayers(r: ConfigReader, layers: number): (layer: number) => boolean {
  const listed = r.list('no_rope_layers', layers);
  const interval = r.number('no_rope_layer_interval', INTERVAL);
  return (layer) => (listed === undefined ? (layer + 1) % interval !== 0 : listed[layer] === 1);
}
