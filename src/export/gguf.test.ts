import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { hasLlamaCpp, openLlamaCpp } from '../../test/support/llama-cpp.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';
import { openOrt } from '../engine/index.ts';
import { readGguf, readSafetensorsHeader, readStored, writeSafetensors } from '../io/index.ts';
import { openPeft } from '../model/peft.ts';
import { openModelSource } from '../model/source.ts';
import { openText, renderPrompt } from '../text/index.ts';
import { storedLogits } from './check.ts';
import { compareLogits, LIMITS } from './compare.ts';
import { answered, goldenPrompts } from './golden.ts';
import type { ExportJob, Quant } from './types.ts';

const WIDE = { hidden_size: 256, intermediate_size: 512, head_dim: 64, num_hidden_layers: 3 };

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
  writeTinyChatModel(model, WIDE);
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

  test('lists the tensors whose rows no block of 256 fits', async () => {
    const { lines } = await exported(toys.model, 'q4_k_m');
    const { fallbacks } = lines.find((line) => line.type === 'plan') as unknown as { fallbacks: unknown[] };
    expect(fallbacks).toContainEqual({ tensor: 'blk.0.attn_q.weight', wanted: 'Q4_K', got: 'Q5_0' });
  }, 60_000);

  test('that is too far from what was trained is not written', async () => {
    // Wide layers of random weights: what four bits change grows from layer to layer.
    const chaotic = writeTinyChatModel(path.join(folder, 'chaotic'), WIDE);
    const out = path.join(folder, 'diverged');
    const args = ['export', chaotic, '--to', 'gguf', '--quant', 'q4_k_m', '--out', out, '--threads', 1];
    const { exit, stderr } = await cli(args);
    expect(exit, stderr).toBe(3);
    expect(stderr).toMatch(/EXPORT_DIVERGED.* worst tensor is model\.layers\.\d\.\S+_proj\.weight/);
    expect(readdirSync(folder).filter((name) => name.includes('diverged'))).toEqual([]);
  }, 60_000);
});

/** The run's adapter with rank-stabilised scaling and a rank and an alpha of their own for two modules. */
function patternedAdapter(): string {
  const adapter = path.join(folder, 'patterned');
  cpSync(path.join(run, 'best'), adapter, { recursive: true });
  const file = path.join(adapter, 'adapter_config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  const patterns = { use_rslora: true, alpha_pattern: { q_proj: 8, 'layers.1.mlp.up_proj': 64 } };
  writeFileSync(file, JSON.stringify({ ...config, ...patterns }));
  return adapter;
}

async function exportedAdapter(adapter: string): Promise<string> {
  const out = path.join(folder, `out-${readdirSync(folder).length}`);
  const args = ['export', toys.model, '--adapter', adapter, '--to', 'gguf-adapter', '--out', out, '--threads', 1];
  const { exit, stderr } = await cli(args);
  expect(exit, stderr).toBe(0);
  return path.join(out, readdirSync(out).find((file) => file.endsWith('.gguf'))!);
}

describe('gguf-adapter', () => {
  test('has each scale in B, and no alpha', async () => {
    const { metadata, tensors } = readGguf(await exportedAdapter(patternedAdapter()));
    expect(metadata['general.type']).toBe('adapter');
    expect(metadata['adapter.lora.alpha']).toBe(0);
    const written = readStored(tensors.find((t) => t.name === 'blk.1.ffn_up.weight.lora_b')!);
    const trained = readSafetensorsHeader(path.join(run, 'best', 'adapter_model.safetensors')).tensors;
    const b = readStored(trained.find((t) => t.name.endsWith('layers.1.mlp.up_proj.lora_B.weight'))!);
    expect(written).toEqual(b.map((value) => (64 / Math.sqrt(16)) * value));
  }, 60_000);

  test('is refused where the adapter is more than B A', async () => {
    const adapter = path.join(folder, 'other-tensors');
    const { ggufAdapterWriter } = await import('./gguf-adapter.ts');
    const source = openModelSource(toys.model);
    const peft = openPeft(path.join(run, 'best'), source.config);
    const [first] = peft.tensors.values();
    const name = 'base_model.model.lm_head.weight';
    const tensors = new Map([...peft.tensors, [name, { ...first!, name }]]);
    const job = { source, adapter: { ...peft, tensors }, adapterFolder: adapter, quant: 'f32' } as const;
    expect(() => ggufAdapterWriter.plan(job as unknown as ExportJob)).toThrow(/EXPORT_UNSUPPORTED.*lm_head/);
  });
});

describe.skipIf(!hasLlamaCpp())('in llama.cpp', () => {
  test('an adapter over its base gives the text that we give', async () => {
    const adapter = patternedAdapter();
    const { file: base } = await exported(toys.model, 'f32');
    const llama = await openLlamaCpp(base, folder, await exportedAdapter(adapter));
    try {
      const question = 'Question 3: why so long?';
      const generated = await cli([
        ...['generate', toys.model, '--adapter', adapter, '--prompt', question, '--max-tokens', 24, '--threads', 1],
        ...['--precision', 'exact', '--temperature', 0],
      ]);
      const ours = generated.lines.find((line) => line.type === 'result')?.ids;
      expect(ours, generated.stderr).toBeDefined();
      const source = openModelSource(toys.model);
      const { tokenizer, template } = openText(source.text!, { now: new Date() });
      const messages = [{ role: 'user', content: question }] as const;
      const prompt = renderPrompt(messages, undefined, { tokenizer, template: template! });
      expect(await llama.greedy(prompt, (ours as number[]).length)).toEqual(ours);
    } finally {
      llama.close();
    }
  }, 60_000);

  test.each(['f16', 'q8_0', 'q4_0', 'q4_k_m'] as const satisfies Quant[])(
    '%s gives what was exported',
    async (quant) => {
      const { file } = await exported(wide, quant);
      const source = openModelSource(wide);
      const tools = openText(source.text!, { now: new Date() });
      const texts = goldenPrompts(tools, undefined, source.config).ids;
      const examples = texts.map((ids) => answered(ids.slice(0, 1), ids.slice(1, 48)));
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
        expect(agreed / positions).toBeGreaterThanOrEqual(LIMITS[quant].clearAgreement);
      } finally {
        llama.close();
        await engine.close();
      }
    },
    120_000,
  );
});
