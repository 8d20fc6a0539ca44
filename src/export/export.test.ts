import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, type Line, temporaryFolder } from '../../test/support/cli.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';
import { readSafetensorsHeader } from '../io/index.ts';
import type { Certificate } from './export.ts';

const folder = temporaryFolder();
let toys: Toys;
let run: string;

beforeAll(async () => {
  toys = writeToys(path.join(folder, 'toys'));
  ({ run } = await train(toys, { system: 'You are "Ada", it\'s said.\nBe brief.' }));
}, 120_000);

async function exported(...args: readonly string[]): Promise<{ out: string; done: Line; lines: readonly Line[] }> {
  const out = path.join(folder, `out-${readdirSync(folder).length}`);
  const { exit, lines, stderr } = await cli(['export', run, '--out', out, '--threads', 1, ...args]);
  expect(exit, stderr).toBe(0);
  return { out, lines, done: lines.at(-1)! };
}

async function totalLoss(model: string): Promise<number> {
  const { lines, stderr } = await cli(['score', model, '--data', toys.chats, '--threads', 1]);
  const total = lines.findLast((line) => line.type === 'total');
  expect(total, stderr).toBeDefined();
  return Number(total?.nll);
}

const certificateOf = (out: string) =>
  JSON.parse(readFileSync(path.join(out, 'certificate.json'), 'utf8')) as Certificate;

describe('safetensors', () => {
  test('cut into shards give the losses of the run, in each float type', async () => {
    const wanted = await totalLoss(run);
    for (const [quant, tolerance] of [
      ['f32', 1e-5],
      ['f16', 1e-3],
      ['bf16', 1e-2],
    ] as const) {
      const { out } = await exported('--to', 'safetensors', '--quant', quant, '--shard-size', '0.00005');
      const shards = readdirSync(out).filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name));
      expect(shards.length).toBeGreaterThan(1);
      const types = shards.flatMap((name) => readSafetensorsHeader(path.join(out, name)).tensors.map((t) => t.type));
      expect(new Set(types)).toEqual(new Set([quant.toUpperCase()]));
      const got = await totalLoss(out);
      expect(Math.abs(got - wanted) / wanted).toBeLessThan(tolerance);
    }
  }, 120_000);

  test('carry a certificate, a card, and the trained system prompt in the template', async () => {
    const { out, done } = await exported('--to', 'safetensors', '--quant', 'f32');
    const certificate = certificateOf(out);
    expect(done).toMatchObject({ type: 'done', out, tokenIds: 'equal' });
    expect(certificate.exported.meanKl).toBeLessThan(1e-9);
    expect(certificate.files.map((file) => file.name)).toEqual(
      readdirSync(out)
        .filter((name) => name !== 'certificate.json')
        .sort(),
    );
    const card = readFileSync(path.join(out, 'README.md'), 'utf8');
    expect(card).toContain('> You are "Ada", it\'s said.\n> Be brief.');
    expect(card).not.toContain(folder);
    const messages = path.join(folder, 'question.json');
    writeFileSync(messages, JSON.stringify([{ role: 'user', content: 'Hi' }]));
    const { lines } = await cli(['tokenize', out, '--messages', messages]);
    expect(lines[0]?.text).toContain('<|im_start|>system\nYou are "Ada", it\'s said.\nBe brief.<|im_end|>');
  }, 60_000);
});

test('a run of all weights goes out too, and names its base', async () => {
  const full = await train(toys, { weights: 'full', lr: 1e-3 });
  const out = path.join(folder, 'full-run');
  const { exit, stderr } = await cli(['export', full.run, '--to', 'safetensors', '--out', out, '--threads', 1]);
  expect(exit, stderr).toBe(0);
  const config = JSON.parse(readFileSync(path.join(full.run, 'config.json'), 'utf8')) as {
    frozen: { base: { sha256: string } };
  };
  expect(certificateOf(out)).toMatchObject({ base: { sha256: config.frozen.base.sha256 }, adapter: null });
}, 60_000);

test('peft is the adapter as it was trained', async () => {
  const { out } = await exported('--to', 'peft');
  const weights = (folder: string) => readFileSync(path.join(folder, 'adapter_model.safetensors'));
  expect(weights(out).equals(weights(path.join(run, 'best')))).toBe(true);
  const { lines } = await cli(['score', toys.model, '--adapter', out, '--data', toys.chats, '--threads', 1]);
  expect(lines.at(-1)?.type).toBe('total');
}, 60_000);

describe('refused', () => {
  const refusal = async (...args: readonly string[]) => {
    const out = path.join(folder, 'refused');
    const called = await cli(['export', run, '--out', out, ...args]);
    expect(existsSync(out)).toBe(false);
    return called;
  };

  test('a folder that is not empty', async () => {
    const out = path.join(folder, 'full');
    mkdirSync(out);
    writeFileSync(path.join(out, 'mine.txt'), 'mine');
    const { exit, stderr } = await cli(['export', run, '--to', 'peft', '--out', out]);
    expect(exit).toBe(2);
    expect(stderr).toContain('EXPORT_FOLDER');
    expect(readdirSync(out)).toEqual(['mine.txt']);
  });

  test.each([
    [['--to', 'safetensors', '--quant', 'q9_9'], 'CLI_OPTION_VALUE'],
    [['--to', 'peft', '--quant', 'f16'], 'CLI_OPTION_CONFLICT'],
    [['--to', 'peft', '--shard-size', '1'], 'CLI_OPTION_CONFLICT'],
    [['--to', 'safetensors', '--shard-size', '0'], 'CLI_OPTION_VALUE'],
    [['--to', 'pickle'], 'CLI_OPTION_VALUE'],
    [[], 'CLI_ARGUMENT'],
  ] as const)('%j', async (args, code) => {
    const { exit, stderr } = await refusal(...args);
    expect(stderr).toContain(code);
    expect(exit).toBe(2);
  });

  test('an adapter where a model has none', async () => {
    const { exit, stderr } = await cli(['export', toys.model, '--to', 'peft', '--out', path.join(folder, 'none')]);
    expect(stderr).toContain('EXPORT_UNSUPPORTED');
    expect(exit).toBe(2);
  });

  test('an adapter of another base', async () => {
    const other = writeToys(path.join(folder, 'other'));
    const { appendFileSync } = await import('node:fs');
    appendFileSync(path.join(other.model, 'config.json'), ' ');
    const weights = path.join(other.model, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(weights, bytes);
    const out = path.join(folder, 'mismatch');
    const adapter = path.join(run, 'best');
    const { stderr } = await cli(['export', other.model, '--adapter', adapter, '--to', 'safetensors', '--out', out]);
    expect(stderr).toContain('ADAPTER_MISMATCH');
    expect(existsSync(out)).toBe(false);
  });
});

test('an export that is interrupted leaves nothing', async () => {
  const parent = path.join(folder, 'interrupted');
  mkdirSync(parent);
  const { exportModel } = await import('./export.ts');
  const stop = new AbortController();
  const request = {
    model: { path: toys.model, adapter: path.join(run, 'best') },
    to: 'safetensors',
    quant: 'f32',
    out: path.join(parent, 'out'),
    name: 'toy',
    shardBytes: 1e9,
  } as const;
  const halfway = exportModel(request, {
    signal: stop.signal,
    onEvent: (event) => event.type === 'progress' && stop.abort(new Error('stop')),
  });
  await expect(halfway).rejects.toThrow('stop');
  expect(readdirSync(parent)).toEqual([]);
});
