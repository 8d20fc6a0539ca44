import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { resume, type Trained, train, trainArgs, writeToys } from '../support/toy-runs.ts';

const toys = writeToys(temporaryFolder());
const FLAGS = { steps: 6, batch: 4, valid: 0.3, 'save-every': 3, 'base-weights': 'nf4' };

let run: Trained;
beforeAll(async () => {
  run = await train(toys, FLAGS);
});

const score = (...flags: string[]) => cli(['score', run.run, '--data', toys.chats, '--threads', 1, ...flags]);

describe('a run over a base in NF4', () => {
  test('says so in its config, and goes on to the same bits', async () => {
    const config = JSON.parse(readFileSync(path.join(run.run, 'config.json'), 'utf8'));
    expect(config.compute.baseWeights).toBe('nf4');
    const cut = path.join(toys.folder, 'cut');
    cpSync(run.run, cut, { recursive: true });
    for (const folder of ['checkpoints/step-000006', 'best', 'last']) {
      rmSync(path.join(cut, folder), { recursive: true, force: true });
    }
    const events = path.join(cut, 'events.jsonl');
    writeFileSync(events, readFileSync(events, 'utf8').replace(/.*"type":"done".*\n/, ''));
    const { exit, stderr } = await resume(cut);
    expect(exit, stderr).toBe(0);
    const adapter = (folder: string) => readFileSync(path.join(folder, 'last/adapter_model.safetensors'));
    expect(adapter(cut).equals(adapter(run.run))).toBe(true);
  });

  test('is scored over the base that it was trained on, at rest or widened', async () => {
    const [widened, resting] = [await score(), await score('--base-weights', 'nf4')];
    expect(widened.exit, widened.stderr).toBe(0);
    expect(resting.lines).toEqual(widened.lines);
    const base = await cli(['score', toys.model, '--data', toys.chats, '--threads', 1]);
    const rounded = await cli(['score', toys.model, '--data', toys.chats, '--threads', 1, '--base-weights', 'nf4']);
    expect(rounded.exit, rounded.stderr).toBe(0);
    expect(rounded.lines.at(-1)?.nll).not.toBe(base.lines.at(-1)?.nll);
  });

  test('is not scored over another', async () => {
    const { exit, stderr } = await score('--base-weights', 'int8');
    expect(exit).toBe(2);
    expect(stderr).toContain('BASE_WEIGHTS');
    expect(stderr).toContain('was trained over nf4 weights');
  });
});

describe('--base-weights', () => {
  test('is chosen by the memory that there is, and the plan says why', async () => {
    const { lines } = await cli([...trainArgs(toys, 'planned', { steps: 1 }), '--plan']);
    const plan = lines.find(({ type }) => type === 'plan') as unknown as {
      automatic: Record<string, { value: string; why: string }>;
    };
    expect(plan.automatic['compute.baseWeights']?.value).toBe('f32');
    expect(plan.automatic['compute.baseWeights']?.why).toContain('in float32 of the');
  });

  test('is refused where all weights train', async () => {
    const { exit, stderr } = await cli(trainArgs(toys, 'full', { weights: 'full', 'base-weights': 'nf4' }));
    expect(exit).toBe(2);
    expect(stderr).toContain('BASE_WEIGHTS --weights full trains all weights');
  });
});
