import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { FAMILIES, writeTinyFamily } from '../../test/support/tiny-families.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';
import { hasTransformersJs, openTransformersJs, type TransformersJs } from '../../test/support/transformers-js.ts';
import type { Certificate } from './export.ts';

const folder = temporaryFolder();
const QUESTIONS = ['Question 1: why so long?', 'Question 3: why so long? why so long?', 'And then?'];
const TOKENS = 24;
let toys: Toys;
let run: string;
let there: TransformersJs | undefined;

beforeAll(async () => {
  toys = writeToys(path.join(folder, 'toys'));
  ({ run } = await train(toys, { system: 'Be brief.', steps: 60, 'save-every': 60, lr: 1e-2 }));
}, 120_000);
afterAll(() => there?.close());

async function exported(model: string, quant: string): Promise<{ out: string; certificate: Certificate }> {
  const out = path.join(folder, `out-${readdirSync(folder).length}`);
  const { exit, stderr } = await cli(['export', model, '--to', 'onnx', '--quant', quant, '--out', out, '--threads', 1]);
  expect(exit, stderr).toBe(0);
  return { out, certificate: JSON.parse(readFileSync(path.join(out, 'certificate.json'), 'utf8')) as Certificate };
}

/** What a model answers here. */
async function answers(model: string): Promise<unknown[]> {
  const asked = QUESTIONS.flatMap((question) => ['--prompt', question]);
  const { lines, stderr } = await cli(['generate', model, ...asked, '--max-tokens', TOKENS, '--threads', 1]);
  const results = lines.filter((line) => line.type === 'result');
  expect(results.length, stderr).toBe(QUESTIONS.length);
  return results.sort((a, b) => Number(a.index) - Number(b.index)).map(({ text }) => text);
}

async function theirAnswers(out: string): Promise<string[]> {
  const conversations = QUESTIONS.map((content) => [{ role: 'user', content }]);
  there ??= openTransformersJs();
  return there.generate(out, conversations, TOKENS);
}

test('a run as a program gives the logits that it was trained to, with its cache', async () => {
  const { certificate, out } = await exported(run, 'f32');
  expect(certificate.exported.meanKl).toBeLessThan(1e-9);
  expect(certificate.tokenIds).toBe('equal');
  expect(certificate.files.map(({ name }) => name)).toContain('onnx/model.onnx');
  const card = readFileSync(path.join(out, 'README.md'), 'utf8');
  expect(card).toContain('library_name: transformers.js');
}, 60_000);

test.skipIf(!hasTransformersJs())(
  'transformers.js answers as the run does, by template and system prompt, and stops where it does',
  async () => {
    const ours = await answers(run);
    expect(new Set(ours).size).toBeGreaterThan(1);
    expect(await theirAnswers((await exported(run, 'f32')).out)).toEqual(ours);
  },
  60_000,
);

test.each([
  ['f16', 'model_fp16.onnx'],
  ['q8', 'model_quantized.onnx'],
  ['q4', 'model_q4.onnx'],
])(
  'as %s it is the file that transformers.js looks for, and smaller',
  async (quant, name) => {
    const { out, certificate } = await exported(toys.model, quant);
    const bytes = (of: Certificate) => of.files.find((file) => file.name.startsWith('onnx/'))?.bytes ?? 0;
    const whole = (await exported(toys.model, 'f32')).certificate;
    expect(readdirSync(path.join(out, 'onnx'))).toEqual([name]);
    expect(bytes(certificate)).toBeLessThan(0.7 * bytes(whole));
    if (!hasTransformersJs()) return;
    const texts = await theirAnswers(out);
    expect(texts.every((text) => text.length > 0)).toBe(true);
  },
  60_000,
);

describe.each(FAMILIES)('%s', (family) => {
  const model = path.join(folder, family);

  test.skipIf(!hasTransformersJs())(
    'gives the same text in transformers.js',
    async () => {
      writeTinyFamily(model, family);
      const { out, certificate } = await exported(model, 'f32');
      expect(certificate.exported.meanKl).toBeLessThan(1e-8);
      expect(await theirAnswers(out)).toEqual(await answers(model));
    },
    60_000,
  );
});
