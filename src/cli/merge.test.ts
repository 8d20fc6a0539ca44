import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';

const folder = temporaryFolder();
let toys: Toys;
let runs: string[];

beforeAll(async () => {
  toys = writeToys(folder);
  runs = [];
  for (const seed of [0, 1]) runs.push((await train(toys, { steps: 2, seed, lr: 3e-2, rank: 4 })).run);
});

let made = 0;
async function merge(...args: (string | number)[]) {
  const to = path.join(folder, `merged-${made++}`);
  const called = await cli(['runs', 'merge', ...runs, '--to', to, ...args]);
  const bytes = called.exit === 0 ? readFileSync(path.join(to, 'adapter_model.safetensors')).toString('hex') : '';
  return { to, bytes, ...called };
}

describe('runs merge', () => {
  it('makes an adapter that the base model is used with, half of each where nothing is said', async () => {
    const { to, exit, lines, stderr } = await merge();
    expect(exit, stderr).toBe(0);
    expect(lines[0]).toMatchObject({ type: 'merged', kind: 'linear', weights: [0.5, 0.5], rank: 8, to });
    const loss = async (...model: string[]) => {
      const { lines: scored } = await cli(['score', ...model, '--data', toys.chats, '--threads', 1]);
      const total = scored.find(({ type }) => type === 'total') as unknown as { nll: number };
      return total.nll;
    };
    const [base, both, one] = [await loss(toys.model), await loss(toys.model, '--adapter', to), await loss(runs[0]!)];
    expect(both).toBeLessThan(base);
    expect(both).not.toBe(one);
  });

  it('each option changes what is written', async () => {
    const all = [
      [],
      ['--weights', '1,0.2'],
      ['--method', 'slerp'],
      ['--method', 'ties'],
      ['--method', 'ties', '--density', 0.2],
      ['--method', 'dare'],
      ['--method', 'dare', '--density', 0.2],
      ['--method', 'dare', '--seed', 1],
    ];
    const written = [];
    for (const args of all) {
      const { exit, stderr, bytes } = await merge(...args);
      expect(exit, stderr).toBe(0);
      written.push(bytes);
    }
    expect(new Set(written).size).toBe(all.length);
  });

  it.each([
    [['--density', 0.5], 'CLI_OPTION_CONFLICT', '--density has no effect on --method linear'],
    [['--method', 'ties', '--density', 1.5], 'CLI_OPTION_VALUE', 'above 0 and below 1'],
    [['--method', 'ties', '--seed', 1], 'CLI_OPTION_CONFLICT', '--seed has no effect on --method ties'],
    [['--weights', '1'], 'CLI_OPTION_VALUE', 'each of the 2 runs'],
    [['--weights', '1,no'], 'CLI_OPTION_VALUE', 'each of the 2 runs'],
  ])('%j is refused', async (args, code, said) => {
    const { exit, stderr } = await merge(...args);
    expect(exit).toBe(2);
    expect(stderr).toContain(code);
    expect(stderr).toContain(said);
  });

  it('wants a folder, adapters, and one base', async () => {
    const nowhere = await cli(['runs', 'merge', ...runs]);
    expect([nowhere.exit, nowhere.lines[0]?.code]).toEqual([2, 'CLI_ARGUMENT']);
    const full = (await train(toys, { steps: 1, weights: 'full' })).run;
    const bare = await cli(['runs', 'merge', runs[0]!, full, '--to', path.join(folder, 'bare')]);
    expect([bare.exit, bare.lines[0]?.code]).toEqual([2, 'ADAPTER_UNSUPPORTED']);
    const other = writeToys(path.join(folder, 'other'));
    const elsewhere = (await train(other, { steps: 1, rank: 4 })).run;
    const mixed = await cli(['runs', 'merge', runs[0]!, elsewhere, '--to', path.join(folder, 'mixed')]);
    expect([mixed.exit, mixed.lines[0]?.code]).toEqual([2, 'ADAPTER_MISMATCH']);
  });
});
