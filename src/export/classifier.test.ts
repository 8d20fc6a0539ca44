import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { hasTransformersJs, openTransformersJs, type TransformersJs } from '../../test/support/transformers-js.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(path.join(folder, 'model'));
const KINDS = ['apple', 'monkey', 'zither'];
/** Of different lengths, so that they are padded. */
const TEXTS = ['7 apple acai', '9 zither', 'monkey mouse moth mole and a longer text than the others'];
let there: TransformersJs | undefined;
afterAll(() => there?.close());

async function trained(name: string, rowOf: (i: number) => unknown, ...args: string[]): Promise<string> {
  const data = path.join(folder, `${name}.jsonl`);
  writeFileSync(data, Array.from({ length: 60 }, (_, i) => `${JSON.stringify(rowOf(i))}\n`).join(''));
  const settings = ['--method', 'classify', '--valid', 0.4, '--epochs', 2, '--batch', 8, '--threads', 1];
  const words = ['train', '--model', model, '--data', data, '--out', folder, '--name', name, ...settings, ...args];
  const { exit, stderr } = await cli(words);
  expect(exit, stderr).toBe(0);
  return path.join(folder, name);
}

async function exported(run: string): Promise<string> {
  const out = `${run}-onnx`;
  const { exit, stderr, lines } = await cli(['export', run, '--to', 'onnx', '--out', out, '--threads', 1]);
  expect(exit, stderr).toBe(0);
  expect(lines.at(-1)?.next).toContain(`pipeline('text-classification', ${JSON.stringify(out)}`);
  return out;
}

/** What `classify` says of the texts: every label with its probability. */
async function probabilities(run: string): Promise<Record<string, number>[]> {
  const { lines, stderr } = await cli(['classify', run, ...TEXTS.flatMap((text) => ['--text', text]), '--threads', 1]);
  expect(lines.length, stderr).toBe(TEXTS.length);
  return lines.map((line) => line.probabilities as Record<string, number>);
}

describe.each([
  [
    'of one label',
    (i: number) => ({ text: `${i} ${KINDS[i % 3]} ${KINDS[i % 3]}`, label: KINDS[i % 3] }),
    ['--lr', '5e-3'],
  ],
  [
    'of several labels',
    (i: number) => ({
      text: `${i} ${KINDS.filter((_, k) => (i >> k) % 2).join(' ')} end`,
      labels: KINDS.filter((_, k) => (i >> k) % 2),
    }),
    ['--lr', '5e-3'],
  ],
  [
    'with all its weights trained',
    (i: number) => ({ text: `${i} ${KINDS[i % 3]}`, label: KINDS[i % 3] }),
    ['--weights', 'full', '--lr', '1e-3'],
  ],
] as const)('a classifier %s', (name, rowOf, args) => {
  const out = path.join(folder, `${name.replaceAll(' ', '-')}-onnx`);
  let run: string;
  beforeAll(async () => {
    run = await trained(name.replaceAll(' ', '-'), rowOf, ...args);
    await exported(run);
  }, 120_000);

  test('goes out with its labels and a certificate', () => {
    const json = (file: string) => JSON.parse(readFileSync(path.join(out, file), 'utf8')) as Record<string, unknown>;
    expect(json('certificate.json')).toMatchObject({ tokenIds: 'equal' });
    expect(json('config.json')).toMatchObject({ id2label: { 0: 'apple', 1: 'monkey', 2: 'zither' } });
    expect(readFileSync(path.join(out, 'README.md'), 'utf8')).toContain('pipeline_tag: text-classification');
  });

  test.skipIf(!hasTransformersJs())(
    'gives the same probabilities in transformers.js, calibrated, one text at a time and in a batch',
    async () => {
      const ours = await probabilities(run);
      there ??= openTransformersJs();
      const batch = await there.classify(out, TEXTS);
      const single = (await there.classify(out, TEXTS.slice(0, 1)))[0]!;
      for (const [i, theirs] of [...batch, single].entries()) {
        for (const { label, score } of theirs) expect(score).toBeCloseTo(ours[i % TEXTS.length]![label]!, 4);
        expect(theirs).toHaveLength(3);
      }
    },
    60_000,
  );
});

test('what holds text only is no place for a classifier', async () => {
  const run = path.join(folder, 'of-one-label');
  const out = path.join(folder, 'refused');
  const { exit, stderr } = await cli(['export', run, '--to', 'gguf', '--out', out]);
  expect(exit).toBe(2);
  expect(stderr).toContain('CLASSIFIER_USE');
  expect(existsSync(out)).toBe(false);
});
