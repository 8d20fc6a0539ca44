import { BLOCKS } from '../io/blocks.ts';
import type { EncodedType } from '../io/quantize.ts';
import type { Shape } from '../tensor/tensor.ts';
import type { Fallback } from './types.ts';

/** Kinds of GGUF files that we write. */
export type GgufQuant = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0' | 'q4_k_m';

/** llama.cpp's number of each kind, for `general.file_type`. */
export const FILE_TYPES: Readonly<Record<GgufQuant, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q8_0: 7,
  q4_k_m: 15,
  bf16: 32,
};

/** The type that most matrices of a kind have. */
const MAIN: Readonly<Record<GgufQuant, EncodedType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
  q4_k_m: 'Q4_K',
};

/** What takes the place of a type whose blocks do not fit the rows, as llama.cpp chooses; F16 where no block does. */
const SMALLER_BLOCKS: Readonly<Partial<Record<EncodedType, EncodedType>>> = {
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** What the choice of types depends on beside the tensor. */
export interface Mixture {
  readonly quant: GgufQuant;
  readonly layers: number;
  readonly tiedEmbeddings: boolean;
  /** 1 for a model without experts. */
  readonly experts: number;
}

/** A tensor's type, and the one that it could not have. */
export interface ChosenType {
  readonly type: EncodedType;
  readonly fallback: Fallback | undefined;
}

/** The type of a tensor in a GGUF file, by llama.cpp's rules. */
export function chooseType(name: string, shape: Shape, mixture: Mixture): ChosenType {
  if (isKeptWide(name, shape)) return { type: 'F32', fallback: undefined };
  const wanted = wantedType(name, mixture);
  const width = shape.at(-1) ?? 1;
  const fits = (type: EncodedType) => width % BLOCKS[type].values === 0;
  if (fits(wanted)) return { type: wanted, fallback: undefined };
  const smaller = SMALLER_BLOCKS[wanted];
  const type = smaller !== undefined && fits(smaller) ? smaller : 'F16';
  return { type, fallback: { tensor: name, wanted, got: type } };
}

/** Vectors, routers and learned positions are never quantised. */
function isKeptWide(name: string, shape: Shape): boolean {
  return shape.length < 2 || !name.endsWith('.weight') || /(^position_embd|ffn_gate_inp|_norm)\.weight$/.test(name);
}

function wantedType(name: string, { quant, layers, tiedEmbeddings, experts }: Mixture): EncodedType {
  const main = MAIN[quant];
  if (quant !== 'q4_0' && quant !== 'q4_k_m') return main;
  // The matrix that makes the logits has more bits than the others.
  if (name === 'output.weight' || (tiedEmbeddings && name === 'token_embd.weight')) return 'Q6_K';
  if (quant === 'q4_0') return main;
  const place = /^blk\.(\d+)\.(.+)\.weight$/.exec(name);
  if (place === null) return main;
  const layer = Number(place[1]);
  switch (place[2]) {
    case 'attn_v':
      if (experts === 8) return 'Q8_0';
      return getsMoreBits(layer, layers) ? 'Q6_K' : main;
    case 'attn_k':
      return experts === 8 ? 'Q8_0' : main;
    case 'attn_output':
      return experts === 8 ? 'Q5_K' : main;
    case 'attn_qkv':
      return 'Q5_K';
    case 'ffn_down':
    case 'ffn_down_exps':
      return getsMoreBits(layer, layers) ? 'Q6_K' : main;
    default:
      return main;
  }
}

/** The first and last eighth of the layers, and every third between them. */
function getsMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
