import { describe, expect, test } from 'vitest';
import { type AdapterRequest, loraRequest, parseLayers, requireMatching, resolveAdapter } from './adapter.ts';
import type { LowRank } from './adapters/index.ts';
import { parseHfConfig } from './config.ts';

const MODEL = parseHfConfig(
  {
    model_type: 'llama',
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 96,
    tie_word_embeddings: true,
    max_position_embeddings: 64,
  },
  'config.json',
);
const resolve = (request: Partial<AdapterRequest>, lora: Partial<LowRank> = {}, model = MODEL) =>
  resolveAdapter(model, { ...loraRequest({ rank: 8, alpha: 16, targets: 'all-linear', ...lora }), ...request });
const names = (request: Partial<AdapterRequest>) =>
  resolve(request).modules.map((m) => [...m.keys()].map((k) => k.split('.')[1]));

describe('targets of an adapter', () => {
  test('all-linear is every linear module of every layer', () => {
    expect(names({})).toEqual(
      Array(4).fill(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
    );
  });

  test('names match at a dot, in a list or with commas', () => {
    expect(names({ targets: ['q_proj', 'self_attn.v_proj'] })[2]).toEqual(['q_proj', 'v_proj']);
    expect(names({ targets: 'q_proj, v_proj' })[2]).toEqual(['q_proj', 'v_proj']);
  });

  test('a pattern must match the whole name, as in peft', () => {
    expect(names({ targets: '.*layers\\.[01]\\.self_attn\\.(q|v)_proj' })).toEqual([
      ['q_proj', 'v_proj'],
      ['q_proj', 'v_proj'],
      [],
      [],
    ]);
    expect(() => resolve({ targets: '(q|v)_proj' })).toThrow(/ADAPTER_TARGETS/);
  });

  test('a name that no module has is refused with the names that there are', () => {
    expect(() => resolve({ targets: ['q_prj'] })).toThrow(/ADAPTER_TARGETS.*q_prj.*q_proj/);
  });

  test('layers choose, and patterns give single modules a rank and an alpha', () => {
    const spec = resolve({ layers: [3] }, { rankPattern: { q_proj: 2 }, alphaPattern: { 'layers.3.mlp.up_proj': 4 } });
    expect(spec.modules.map((m) => m.size)).toEqual([0, 0, 0, 7]);
    expect(spec.modules[3]!.get('self_attn.q_proj')).toEqual({ kind: 'lora', rank: 2, scale: 8 });
    expect(spec.modules[3]!.get('mlp.up_proj')).toEqual({ kind: 'lora', rank: 8, scale: 0.5 });
  });

  test('rank-stabilised scaling divides by the root of the rank', () => {
    const { modules } = resolve({}, { rank: 4, rsLora: true });
    expect(modules[0]!.get('self_attn.q_proj')).toMatchObject({ scale: 8 });
  });

  test('attention and mlp are groups, which stand in lists too', () => {
    expect(names({ targets: 'attention' })[0]).toEqual(['q_proj', 'k_proj', 'v_proj', 'o_proj']);
    expect(names({ targets: 'mlp' })[0]).toEqual(['gate_proj', 'up_proj', 'down_proj']);
    expect(names({ targets: ['q_proj', 'mlp'] })[0]).toEqual(['q_proj', 'gate_proj', 'up_proj', 'down_proj']);
  });

  test('a pattern that matches none of the adapted modules is refused', () => {
    const spec = resolve({ targets: 'attention' }, { rankPattern: { up_proj: 2 } });
    expect(() => requireMatching(spec)).toThrow(/ADAPTER_TARGETS.*up_proj/);
  });
});

describe('what trains in full beside an adapter', () => {
  const untied = { ...MODEL, tiedEmbeddings: false };

  test('modules are named by the ends of their names, as in peft', () => {
    expect(resolve({ save: ['embed_tokens', 'lm_head'] }, {}, untied).saved).toEqual([
      'model.embed_tokens.weight',
      'lm_head.weight',
    ]);
    expect(resolve({ save: ['norm'] }).saved).toHaveLength(9);
    expect(resolve({ save: ['model.norm'] }).saved).toEqual(['model.norm.weight']);
  });

  test('a tied embedding stands for the head too, unless peft trained them apart', () => {
    const both = ['embed_tokens', 'lm_head'];
    expect(resolve({ save: both })).toMatchObject({ saved: ['model.embed_tokens.weight'], tie: 'kept' });
    expect(resolve({ save: both, tied: false })).toMatchObject({ tie: 'cut' });
    expect(resolve({ save: both, tied: false }).saved).toHaveLength(2);
    expect(resolve({ save: ['model.norm'] }).tie).toBe('untouched');
    expect(() => resolve({ save: ['lm_head'] })).toThrow(/ADAPTER_TARGETS.*one tensor with the embedding/);
  });

  test('linear modules and unknown ones are refused', () => {
    expect(() => resolve({ save: ['q_proj'] })).toThrow(/ADAPTER_UNSUPPORTED.*q_proj/);
    expect(() => resolve({ save: ['classifier'] })).toThrow(/ADAPTER_TARGETS.*classifier/);
  });
});

describe('layer lists', () => {
  test.each([
    ['0-2', [0, 1, 2]],
    ['3,1', [1, 3]],
    ['last:2', [2, 3]],
    ['every:2', [1, 3]],
    ['every:3', [2]],
  ])('%s', (text, layers) => expect(parseLayers(text, 4)).toEqual(layers));

  test.each(['4', '2-1', 'last:5', 'last:0', 'every:0', 'every:5', 'first', ''])('%s is refused', (text) => {
    expect(() => parseLayers(text, 4)).toThrow(/ADAPTER_TARGETS/);
  });
});
