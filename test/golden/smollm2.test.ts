import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { baseModelPath } from '../support/base-model.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { type Curve, expectClose, expectCurve } from '../support/close.ts';
import { writeRows } from '../support/golden-rows.ts';

// Tolerances of the project: see CONTRIBUTING.md.
const NLL = 5e-6;
const TOLERANCE = { loss: 5e-5, norm: 5e-5 };

interface Golden {
  readonly tokens: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly nll: readonly { readonly text: string; readonly sum: number; readonly tokens: number }[];
  readonly greedy: readonly { readonly messages: readonly unknown[]; readonly text: string }[];
  readonly sft: Curve & { readonly rows: readonly unknown[] };
}

const MODEL = baseModelPath();
const folder = path.join(import.meta.dirname, 'smollm2');
const golden = JSON.parse(readFileSync(path.join(folder, 'golden.json'), 'utf8')) as Golden;
const temporary = temporaryFolder();

describe.skipIf(MODEL === undefined)('the commands on the real model', () => {
  const model = MODEL ?? '';

  test('tokenize gives the ids of transformers', async () => {
    for (const { text, ids } of golden.tokens.slice(2, 4)) {
      const { exit, lines, stderr } = await cli(['tokenize', '--model', model, `--text=${text}`]);
      expect(exit, stderr).toBe(0);
      expect(lines.at(-1)).toMatchObject({ ids });
    }
  });

  test('score gives the likelihood of texts', async () => {
    const rows = golden.nll.map(({ text }) => ({ text }));
    const data = writeRows(path.join(temporary, 'texts.jsonl'), rows);
    const { exit, lines, stderr } = await cli(['score', '--model', model, '--data', data]);
    expect(exit, stderr).toBe(0);
    const scored = lines.filter((line) => line.type === 'row') as unknown as { nll: number; tokens: number }[];
    expect(scored.map(({ tokens }) => tokens)).toEqual(golden.nll.map(({ tokens }) => tokens));
    for (const [i, { sum }] of golden.nll.entries()) expectClose(scored[i]?.nll ?? Number.NaN, sum, NLL);
  });

  test('train follows the curve on conversations of several turns, some with weight 0', async () => {
    const data = writeRows(path.join(temporary, 'sft.jsonl'), golden.sft.rows);
    const flags = '--valid none --lr 2e-3 --schedule constant --warmup 0 --batch 1 --epochs 3 --no-shuffle --save-every 18';
    const start = ['--init-adapter', path.join(folder, 'adapter'), '--out', temporary, '--name', 'sft'];
    const { exit, lines, stderr } = await cli(['train', '--model', model, '--data', data, ...start, ...flags.split(' ')]);
    expect(exit, stderr).toBe(0);
    expectCurve(lines, golden.sft, TOLERANCE);
  }, 300_000);

  test('generate answers as transformers does', async () => {
    const file = path.join(temporary, 'questions.jsonl');
    writeRows(file, golden.greedy.map(({ messages }) => ({ messages })));
    const args = ['generate', '--model', model, '--messages', file, '--max-tokens', 24, '--temperature', 0];
    const { exit, lines, stderr } = await cli(args);
    expect(exit, stderr).toBe(0);
    const answers = lines.filter((line) => line.type === 'result');
    expect(answers.map(({ text }) => text)).toEqual(golden.greedy.map(({ text }) => text));
  }, 300_000);
});
