import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, runCliProcess, temporaryFolder } from '../support/cli.ts';
import { type Curve, expectClose, expectCurve } from '../support/close.ts';
import { goldenRows, writeRows } from '../support/golden-rows.ts';
import { GOLDENS } from './names.ts';

// Tolerances of the project: see CONTRIBUTING.md.
const LOSS = 5e-6;
const TOLERANCE = { loss: 1e-5, norm: 1e-4 };

interface Optimiser extends Curve {
  readonly lr: number;
}
interface Golden {
  readonly loss: number;
  readonly lora_loss: number;
  readonly adamw: Optimiser;
  readonly full_adamw: Optimiser;
}

const temporary = temporaryFolder();
let run = 0;

describe.each(GOLDENS)('the commands on golden %s', (name) => {
  const folder = path.join(import.meta.dirname, name);
  const model = path.join(folder, 'model');
  const adapter = path.join(folder, 'adapter');
  const golden = JSON.parse(readFileSync(path.join(folder, 'golden.json'), 'utf8')) as Golden;
  const data = writeRows(path.join(temporary, `${name}.jsonl`), goldenRows(folder));
  /** The flags with which the references were taken. */
  const flags = (curve: Optimiser) => [
    ...['--data', data, '--valid', 'none', '--lr', curve.lr, '--schedule', 'constant', '--warmup', 0],
    ...['--weight-decay', 0, '--clip', 1, '--batch', 2, '--steps', 10, '--no-shuffle', '--save-every', 10],
    ...['--threads', 1, '--out', temporary, '--name', `run-${run++}`],
  ];

  test('score gives the loss of the base and of the adapter', async () => {
    for (const [extra, expected] of [
      [[], golden.loss],
      [['--adapter', adapter], golden.lora_loss],
    ] as const) {
      const { exit, lines, stderr } = await cli(['score', '--model', model, '--data', data, '--threads', 1, ...extra]);
      expect(exit, stderr).toBe(0);
      const total = lines.find((line) => line.type === 'total') as unknown as { nll: number; tokens: number };
      expectClose(total.nll / total.tokens, expected, LOSS);
      const rows = lines.filter((line) => line.type === 'row') as unknown as { nll: number; tokens: number }[];
      expect(rows.map((row) => row.tokens).reduce((a, b) => a + b)).toBe(total.tokens);
      expectClose(rows.map((row) => row.nll).reduce((a, b) => a + b), total.nll, 1e-12);
    }
  });

  test.each([
    ['adapter, packed', 'adamw', []],
    ['adapter, padded, from the older spelling of config.json', 'adamw', ['--no-pack']],
    ['adapter, row by row, from the older spelling', 'adamw', ['--micro-batch', 1]],
    ['whole model, packed', 'full_adamw', []],
  ] as const)('train follows the curve of the %s', async (what, curve, how) => {
    const start = what.includes('adapter') ? ['--init-adapter', adapter] : ['--weights', 'full'];
    const base = what.includes('older') ? olderSpelling(model, path.join(temporary, name)) : model;
    const { exit, lines, stderr } = await cli(['train', '--model', base, ...start, ...flags(golden[curve]), ...how]);
    expect(exit, stderr).toBe(0);
    expectCurve(lines, golden[curve], TOLERANCE);
  });
});

/** A copy of a model whose config.json is spelled as transformers 4 wrote it. */
function olderSpelling(model: string, copy: string): string {
  cpSync(model, copy, { recursive: true });
  cpSync(path.join(model, 'config.older.json'), path.join(copy, 'config.json'));
  return copy;
}

test('the program as a process of its own prints the same lines', async () => {
  const folder = path.join(import.meta.dirname, 'llama');
  const golden = JSON.parse(readFileSync(path.join(folder, 'golden.json'), 'utf8')) as Golden;
  const data = writeRows(path.join(temporary, 'process.jsonl'), goldenRows(folder));
  const args = ['train', '--model', path.join(folder, 'model'), '--init-adapter', path.join(folder, 'adapter'), '--data', data];
  const flags = '--valid none --lr 1e-2 --schedule constant --warmup 0 --batch 2 --steps 10 --no-shuffle'.split(' ');
  const { exit, lines, stderr } = await runCliProcess([...args, ...flags], temporary);
  expect(exit, stderr).toBe(0);
  expectCurve(lines, golden.adamw, TOLERANCE);
  expect(lines.at(-1)).toMatchObject({ type: 'done', steps: 10 });
});
