import { LLAMA_NORMS } from './llama.ts';

/** GGUF tensor names of one decoder layer and their Hugging Face counterparts, both without the layer's prefix. */
const LAYER_NAMES: readonly (readonly [gguf: string, hf: string])[] = [
  ['attn_norm.weight', `${LLAMA_NORMS[0]}.weight`],
  ['attn_q.weight', 'self_attn.q_proj.weight'],
  ['attn_k.weight', 'self_attn.k_proj.weight'],
  ['attn_v.weight', 'self_attn.v_proj.weight'],
  ['attn_output.weight', 'self_attn.o_proj.weight'],
  ['ffn_norm.weight', `${LLAMA_NORMS[1]}.weight`],
  ['ffn_gate.weight', 'mlp.gate_proj.weight'],
  ['ffn_up.weight', 'mlp.up_proj.weight'],
  ['ffn_down.weight', 'mlp.down_proj.weight'],
];

/** Tensors outside the layers. */
const OUTER_NAMES: readonly (readonly [gguf: string, hf: string])[] = [
  ['token_embd.weight', 'model.embed_tokens.weight'],
  ['output_norm.weight', 'model.norm.weight'],
  ['output.weight', 'lm_head.weight'],
];

/** The Hugging Face name of a GGUF tensor of the llama family; undefined for one that the model does not use. */
export function hfName(gguf: string): string | undefined {
  const layer = /^blk\.(\d+)\.(.+)$/.exec(gguf);
  if (layer === null) return OUTER_NAMES.find(([name]) => name === gguf)?.[1];
  const name = LAYER_NAMES.find(([own]) => own === layer[2])?.[1];
  return name === undefined ? undefined : layerTensor(Number(layer[1]), name);
}

/** The GGUF name of a tensor by its Hugging Face name; undefined for one that has none. */
export function ggufName(hf: string): string | undefined {
  const layer = /^model\.layers\.(\d+)\.(.+)$/.exec(hf);
  if (layer === null) return OUTER_NAMES.find(([, name]) => name === hf)?.[0];
  const name = LAYER_NAMES.find(([, own]) => own === layer[2])?.[0];
  return name === undefined ? undefined : `blk.${layer[1]}.${name}`;
}

/** Full Hugging Face name of a tensor of decoder layer `index`. */
export function layerTensor(index: number, name: string): string {
  return `model.layers.${index}.${name}`;
}

/** Names of the tensors outside the layers. */
export const EMBED = 'model.embed_tokens.weight';
export const FINAL_NORM = 'model.norm.weight';
export const HEAD = 'lm_head.weight';
