import { describe, expect, test } from 'vitest';
import { chooseType, type Mixture } from './gguf-types.ts';

const mixture: Mixture = { quant: 'q4_k_m', layers: 16, tiedEmbeddings: true, experts: 1 };
const typeOf = (name: string, shape: readonly number[], more: Partial<Mixture> = {}) =>
  chooseType(name, shape, { ...mixture, ...more }).type;

describe('types of GGUF tensors', () => {
  test('Q4_K_M gives Q6_K to the head, and to values and down projections of some layers', () => {
    expect(typeOf('token_embd.weight', [1000, 256])).toBe('Q6_K');
    expect(typeOf('token_embd.weight', [1000, 256], { tiedEmbeddings: false })).toBe('Q4_K');
    expect(typeOf('output.weight', [1000, 256], { tiedEmbeddings: false })).toBe('Q6_K');
    const more = Array.from({ length: 16 }, (_, l) => l).filter(
      (l) => typeOf(`blk.${l}.attn_v.weight`, [64, 256]) === 'Q6_K',
    );
    expect(more).toEqual([0, 1, 4, 7, 10, 13, 14, 15]);
    expect(typeOf('blk.0.ffn_down.weight', [256, 512])).toBe('Q6_K');
    expect(typeOf('blk.2.ffn_down.weight', [256, 512])).toBe('Q4_K');
    expect(typeOf('blk.0.attn_q.weight', [256, 256])).toBe('Q4_K');
  });

  test('rows that no block of 256 fits get blocks of 32, and are listed', () => {
    const { type, fallback } = chooseType('blk.2.attn_q.weight', [576, 576], mixture);
    expect(type).toBe('Q5_0');
    expect(fallback).toEqual({ tensor: 'blk.2.attn_q.weight', wanted: 'Q4_K', got: 'Q5_0' });
    expect(typeOf('token_embd.weight', [1000, 576])).toBe('Q8_0');
    expect(typeOf('token_embd.weight', [1000, 576], { quant: 'q4_0' })).toBe('Q8_0');
    expect(typeOf('blk.2.attn_q.weight', [40, 40], { quant: 'q8_0' })).toBe('F16');
  });

  test('vectors and routers stay in float32', () => {
    expect(typeOf('blk.0.attn_norm.weight', [256])).toBe('F32');
    expect(typeOf('blk.0.ffn_gate_inp.weight', [8, 256])).toBe('F32');
    expect(typeOf('blk.0.attn_q.bias', [256], { quant: 'f16' })).toBe('F32');
  });
});
