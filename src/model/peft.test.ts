import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openReference } from '../engine/index.ts';
import { readStored } from '../io/index.ts';
import { loraRequest, resolveAdapter } from './adapter.ts';
import { uploadAdapter } from './adapter-handles.ts';
import { adapterTensors, openPeft, writePeft } from './peft.ts';
import { openModelSource } from './source.ts';

const GOLDEN = join(import.meta.dirname, '../../test/golden/llama');
const { config } = openModelSource(join(GOLDEN, 'model'));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-peft-'));
  cpSync(join(GOLDEN, 'adapter'), folder, { recursive: true });
});

const edit = (change: Record<string, unknown>) => {
  const file = join(folder, 'adapter_config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }));
};

describe('PEFT folders', () => {
  test('one that peft wrote opens, with rank, scale and every tensor', () => {
    const { spec, tensors } = openPeft(folder, config);
    expect(spec.modules.map((m) => m.size)).toEqual([7, 7]);
    expect(spec.modules[0]!.get('mlp.up_proj')).toEqual({ kind: 'lora', rank: 4, scale: 2 });
    expect(tensors.size).toBe(28);
  });

  test('writing and opening gives the same adapter and base hash, with equal bytes each time', () => {
    const { spec, tensors } = openPeft(folder, config);
    const all = [...tensors].map(([name, t]) => ({ name, type: 'F32' as const, shape: t.shape, data: readStored(t) }));
    const bytes = [0, 1].map(() => {
      const out = mkdtempSync(join(tmpdir(), 'tunesmith-peft-'));
      writePeft(out, spec, all, { baseModel: 'org/name', baseHash: 'abc' });
      const again = openPeft(out, config);
      expect(again.spec.modules).toEqual(spec.modules);
      expect([again.baseModel, again.baseHash]).toEqual(['org/name', 'abc']);
      return ['adapter_config.json', 'adapter_model.safetensors'].map((name) => readFileSync(join(out, name)));
    });
    expect(bytes[0]).toEqual(bytes[1]);
  });

  test('what an (IA)^3 folder names as feed-forward stands among its targets, as peft wants it', () => {
    const write = (feedforward: string) => {
      const settings = { kind: 'ia3', feedforward } as const;
      const spec = resolveAdapter(config, { settings, dropout: 0, targets: 'v_proj,down_proj' });
      writePeft(folder, spec, [], { baseModel: undefined, baseHash: 'abc' });
      return JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'));
    };
    expect(write('down_proj')).toMatchObject({
      target_modules: ['down_proj', 'v_proj'],
      feedforward_modules: ['down_proj'],
    });
    const { target_modules, feedforward_modules } = write('layers.1.mlp.down_proj');
    expect(feedforward_modules).toEqual(['model.layers.1.mlp.down_proj']);
    expect(target_modules).toHaveLength(4);
    expect(target_modules).toContain(feedforward_modules[0]);
  });

  test('full names are written only where layers differ', () => {
    const write = (targets: string, layers?: number[]) => {
      const spec = resolveAdapter(config, { ...loraRequest({ rank: 4, alpha: 8, targets }), layers });
      const out = mkdtempSync(join(tmpdir(), 'tunesmith-peft-'));
      writePeft(out, spec, [], { baseModel: undefined, baseHash: 'abc' });
      return JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'));
    };
    expect(write('q_proj,v_proj')).toMatchObject({ target_modules: ['q_proj', 'v_proj'], layers_to_transform: null });
    expect(write('q_proj', [1])).toMatchObject({ target_modules: ['q_proj'], layers_to_transform: [1] });
  });

  test.each(['rslora', 'patterns', 'dora', 'saved', 'saved-tied', 'saved-untied', 'vera', 'ia3'])(
    'written again, %s is read as before, with what trains and what does not',
    async (name) => {
      const golden = join(GOLDEN, '../adapters', name);
      const { base } = JSON.parse(readFileSync(join(golden, 'golden.json'), 'utf8')) as { base: string };
      const source = openModelSource(join(GOLDEN, '..', base, 'model'));
      const first = openPeft(join(golden, 'adapter'), source.config);
      const engine = openReference();
      const { constants } = uploadAdapter(engine, source, first);
      const trained = adapterTensors(source.config, first.spec);
      const all = [...trained].map(([tensor, shape]) => {
        return { name: tensor, type: 'F32' as const, shape, data: readStored(first.tensors.get(tensor)!) };
      });
      writePeft(folder, first.spec, all, { baseModel: undefined, baseHash: 'abc' }, { constants });
      const again = openPeft(folder, source.config);
      const { modules, saved, tie } = first.spec;
      expect(again.spec).toMatchObject({ modules, saved, tie });
      for (const [tensor, stored] of again.tensors) {
        expect(readStored(stored), tensor).toEqual(readStored(first.tensors.get(tensor)!));
      }
      await engine.close();
    },
  );

  test.each([
    [{ use_dora: true }, /ADAPTER_MISMATCH.*lora_magnitude_vector/],
    [{ modules_to_save: ['lm_head'] }, /ADAPTER_MISMATCH.*lm_head/],
    [{ modules_to_save: ['q_proj'] }, /ADAPTER_UNSUPPORTED.*q_proj/],
    [{ use_qalora: true }, /ADAPTER_UNSUPPORTED.*use_qalora/],
    [{ use_dora: true, lora_bias: true }, /ADAPTER_UNSUPPORTED.*lora_bias/],
    [{ trainable_token_indices: [1] }, /ADAPTER_UNSUPPORTED.*trainable_token_indices/],
    [{ init_lora_weights: 'pissa_niter_4' }, /ADAPTER_UNSUPPORTED.*pissa_niter_4.*changed base/],
    [{ rank_pattern: { q_proj: 'x' } }, /ADAPTER_CONFIG.*rank_pattern/],
    [{ bias: 'all' }, /ADAPTER_UNSUPPORTED.*bias/],
    [{ peft_type: 'LOHA' }, /ADAPTER_UNSUPPORTED.*LOHA.*LORA, VERA, IA3/],
    [{ peft_type: 'VERA', save_projection: false }, /ADAPTER_UNSUPPORTED.*save_projection/],
    [{ r: 0 }, /ADAPTER_CONFIG.*r must be/],
    [{ r: 8 }, /ADAPTER_MISMATCH.*\[4,\d+\].*\[8,/],
    [{ target_modules: ['q_proj'] }, /ADAPTER_MISMATCH.*no place/],
    [{ target_modules: ['w_proj'] }, /ADAPTER_TARGETS/],
  ])('%j is refused', (change, message) => {
    edit(change);
    expect(() => openPeft(folder, config)).toThrow(message);
  });

  test('an adapter for another base is refused by its shapes', () => {
    expect(() => openPeft(folder, { ...config, intermediateSize: 64 })).toThrow(/ADAPTER_MISMATCH/);
  });
});
