import { readdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { hasLlamaCpp, openLlamaCpp } from '../../test/support/llama-cpp.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';
import { openOrt } from '../engine/index.ts';
import { readGguf, readSafetensorsHeader, readStored, writeSafetensors } from '../io/index.ts';
import { openModelSource } from '../model/source.ts';
import { openText } from '../text/index.ts';
import { storedLogits } from './check.ts';
import { compareLogits, LIMITS } from './compare.ts';
import { goldenPrompts } from './golden.ts';
import type { Quant } from './types.ts';

const folder = temporaryFolder();
let toys: Toys;
let run: string;
let wide: string;

beforeAll(async () => {
  toys = writeToys(path.join(folder, 'toys'));
  ({ run } = await train(toys, { system: 'You are Ada.' }));
  wide = writeWideModel(path.join(folder, 'wide'));
}, 120_000);

/** Wide enough for blocks of 256. Its layers say less than its embedding, so that it is sure of something, as trained models are. */
function writeWideModel(model: string): string {
  const shape = { hidden_size: 256, intermediate_size: 512, head_dim: 64, num_hidden_layers: 3 };
  writeTinyChatModel(model, shape);
  const file = path.join(model, 'model.safetensors');
  const tensors = readSafetensorsHeader(file).tensors.map((tensor) => {
    const values = readStored(tensor);
    const scale = tensor.name.endsWith('_proj.weight') ? 0.2 : 1;
    return { name: tensor.name, type: 'F32' as const, shape: tensor.shape, data: values.map((x) => scale * x) };
  });
  writeSafetensors(file, tensors);
  return model;
}

async function exported(model: string, quant: string) {
  const out = path.join(folder, `out-${readdirSync(folder).length}`);
  const args = ['export', model, '--to', 'gguf', '--quant', quant, '--out', out, '--threads', 1];
  const { exit, lines, stderr } = await cli(args);
  expect(exit, stderr).toBe(0);
  const name = readdirSync(out).find((file) => file.endsWith('.gguf'))!;
  return { file: path.join(out, name), lines };
}

describe('gguf', () => {
  test('reads back as the run that was exported', async () => {
    const { file } = await exported(run, 'f16');
    const loss = async (model: string) => {
      const { lines, stderr } = await cli(['score', model, '--data', toys.chats, '--threads', 1]);
      expect(lines.at(-1)?.type, stderr).toBe('total');
      return Number(lines.at(-1)?.nll);
    };
    expect(Math.abs((await loss(file)) / (await loss(run)) - 1)).toBeLessThan(1e-3);
    const { metadata } = readGguf(file);
    expect(metadata['general.architecture']).toBe('llama');
    expect(metadata['general.file_type']).toBe(1);
    expect(metadata['tokenizer.ggml.pre']).toBe('gpt-2');
    expect(String(metadata['tokenizer.chat_template'])).toContain('You are Ada.');
  }, 60_000);

  test('Q4_K_M mixes types as llama.cpp does', async () => {
    const { file, lines } = await exported(wide, 'Q4_K_M');
    const types = new Map(readGguf(file).tensors.map((t) => [t.name, t.type]));
    expect(types.get('token_embd.weight')).toBe('Q6_K');
    expect(types.get('blk.0.attn_q.weight')).toBe('Q4_K');
    expect(types.get('blk.2.ffn_down.weight')).toBe('Q6_K');
    expect(types.get('blk.1.attn_norm.weight')).toBe('F32');
    expect(lines.find((line) => line.type === 'plan')?.fallbacks).toEqual([]);
  }, 60_000);

  test('lists the tensors whose rows no block of 256 fits; beyond the limit nothing is left', async () => {
    // Random weights are sure of nothing: four bits change what they think most likely.
    const out = path.join(folder, 'diverged');
    const args = ['export', toys.model, '--to', 'gguf', '--quant', 'q4_k_m', '--out', out, '--threads', 1];
    const { exit, lines, stderr } = await cli(args);
    const { fallbacks } = lines.find((line) => line.type === 'plan') as unknown as { fallbacks: unknown[] };
    expect(fallbacks).toContainEqual({ tensor: 'blk.0.attn_q.weight', wanted: 'Q4_K', got: 'Q5_0' });
    expect(exit).toBe(3);
    expect(stderr).toMatch(/EXPORT_DIVERGED.* worst tensor is model\.layers\.\d\.\S+_proj\.weight/);
    expect(readdirSync(folder).filter((name) => name.includes('diverged'))).toEqual([]);
  }, 60_000);
});

describe.skipIf(!hasLlamaCpp())('in llama.cpp', () => {
  test.each(['f16', 'q8_0', 'q4_0', 'q4_k_m'] as const satisfies Quant[])(
    '%s gives what was exported',
    async (quant) => {
      const { file } = await exported(wide, quant);
      const source = openModelSource(wide);
      const tools = openText(source.text!, { now: new Date() });
      const { examples } = goldenPrompts(tools, undefined, source.config);
      const llama = await openLlamaCpp(file, folder);
      const engine = openOrt({ device: 'cpu', threads: 1, optimize: 'on' });
      try {
        const text = "It's 1234 <|im_start|>user\nnaïve Привет 你好<|im_end|>";
        expect(await llama.tokenize(text)).toEqual(tools.tokenizer.encode(text));
        let [positions, kl, agreed] = [0, 0, 0];
        for (const example of examples) {
          const [ours] = await storedLogits(engine, source, undefined, [example]);
          const theirs = (await llama.probabilities([...example.ids])).subarray(0, ours!.length).map(Math.log);
          const found = compareLogits([ours!], [theirs], source.config.vocabSize);
          positions += found.positions;
          kl += found.meanKl * found.positions;
          agreed += found.topOneAgreement * found.positions;
        }
        expect(kl / positions).toBeLessThan(LIMITS[quant].meanKl);
        expect(agreed / positions).toBeGreaterThanOrEqual(LIMITS[quant].topOneAgreement);
      } finally {
        llama.close();
        await engine.close();
      }
    },
    120_000,
  );
});
