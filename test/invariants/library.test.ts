import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readEvents } from '../../src/registry/events.ts';
import { type RunEvent, type TrainInput, type TrainOptions, train } from '../../src/registry/train.ts';
import type { RunConfigInput } from '../../src/train/config.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { trainArgs, writeToys } from '../support/toy-runs.ts';

const toys = writeToys(temporaryFolder());
const runs = toys.folder;

const config = (name: string, more: Partial<RunConfigInput> = {}): RunConfigInput => ({
  model: toys.model,
  data: { train: toys.chats, valid: 'none' },
  weights: { kind: 'lora', rank: 4 },
  train: { lr: 1e-2, batch: 4, steps: 6 },
  output: { out: runs, name, saveEvery: 2, eval: false },
  compute: { threads: 1 },
  ...more,
});

async function all(input: TrainInput, options: TrainOptions = {}): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of train(input, { runs, ...options })) events.push(event);
  return events;
}

const lossesOf = (events: readonly RunEvent[]) => events.flatMap((e) => (e.type === 'step' ? e.loss : []));
const frozen = (name: string) => JSON.parse(readFileSync(path.join(runs, name, 'config.json'), 'utf8'));

describe('train() from code', () => {
  test('does what the command does, and says where each value comes from', async () => {
    const events = await all(config('code'));
    const flags = { steps: 6, batch: 4, rank: 4, 'save-every': 2 };
    expect((await cli(trainArgs(toys, 'command', flags))).exit).toBe(0);
    const command = readEvents(path.join(runs, 'command', 'events.jsonl')).events;
    expect(lossesOf(events)).toEqual(lossesOf(command));
    expect(lossesOf(events)).toHaveLength(6);
    expect(frozen('code').origins).toMatchObject({
      'train.lr': 'code',
      'weights.rank': 'code',
      'train.clip': 'default',
    });
  });

  test('goes on with a run that was aborted, to the same bits, and says of a finished one that it is done', async () => {
    const stop = new AbortController();
    const first: RunEvent[] = [];
    for await (const event of train(config('stopped'), { runs, signal: stop.signal })) {
      first.push(event);
      if (event.type === 'step' && event.step === 3) stop.abort();
    }
    expect(first.at(-1)).toMatchObject({ type: 'checkpoint', step: 3 });
    await all({ resume: 'stopped' });
    const file = (name: string) => readFileSync(path.join(runs, name, 'last', 'adapter_model.safetensors'));
    await all(config('straight'));
    expect(file('stopped').equals(file('straight'))).toBe(true);
    expect(await all({ resume: 'stopped' })).toMatchObject([{ type: 'done', steps: 6 }]);
  });

  test('goes on with a run of a version that knew fewer options, and refuses a config that is none', async () => {
    const stop = new AbortController();
    for await (const event of train(config('old'), { runs, signal: stop.signal }))
      if (event.type === 'step') stop.abort();
    const file = path.join(runs, 'old', 'config.json');
    const { data, ...stored } = frozen('old');
    const { map: _, ...older } = data;
    writeFileSync(file, JSON.stringify({ ...stored, data: older }));
    expect(lossesOf(await all({ resume: 'old' }))).toHaveLength(5);
    writeFileSync(file, JSON.stringify({ ...stored, data: { ...data, shape: 'oval' } }));
    rmSync(path.join(runs, 'old', 'checkpoints'), { recursive: true });
    writeFileSync(path.join(runs, 'old', 'events.jsonl'), '');
    await expect(all({ resume: 'old' })).rejects.toThrow('RUN_CONFIG');
  });

  test('tells of what takes long before and between the events', async () => {
    const kinds = new Set<string>();
    const watched = config('watched', { data: { train: toys.chats, valid: 0.3 } });
    await all(watched, { onActivity: ({ kind }) => void kinds.add(kind) });
    expect([...kinds]).toEqual(expect.arrayContaining(['measure', 'evaluate']));
  });

  test('starts from another run with what was chosen for it, but for what is chosen anew', async () => {
    await all(config('start'));
    await all({ from: 'start', train: { steps: 2 }, output: { name: 'further' } });
    const { train: optimisation, weights, output, initAdapter, origins, data } = frozen('further');
    expect(optimisation).toMatchObject({ lr: 1e-2, batch: 4, steps: 2 });
    expect([weights.rank, output.out, data.train]).toEqual([4, runs, toys.chats]);
    expect(initAdapter).toBe(path.join(runs, 'start', 'best'));
    expect(origins).toMatchObject({ 'train.lr': 'run start', 'train.steps': 'code' });
  });

  test('lets a process go when its caller stops listening', async () => {
    for await (const event of train(config('left'), { runs })) if (event.type === 'step') break;
    expect(lossesOf(await all({ resume: 'left' }))).toHaveLength(6);
  });

  test.each<[object, RegExp]>([
    [{ weights: { kind: 'full' }, initAdapter: 'x' }, /CLI_OPTION_CONFLICT initAdapter and weights\.kind/],
    [{ initAdapter: 'x' }, /CLI_OPTION_CONFLICT initAdapter and weights\.rank do not go together/],
    [{ train: { steps: 1, epochs: 1 } }, /CLI_OPTION_CONFLICT train\.steps and train\.epochs/],
    [{ train: { lrr: 1 } }, /CONFIG_KEY_UNKNOWN train has no key lrr\. Fix: did you mean lr\?/],
    [{ train: { lr: 'x' } }, /CONFIG_VALUE train\.lr "x"/],
    [{ train: { lr: -1, batch: 0 } }, /CONFIG_VALUE train\.batch 0.*\n.*CONFIG_VALUE train\.lr -1/],
    [{ model: undefined }, /CLI_ARGUMENT no model is named\. Fix: model: 'smollm2/],
    [{ resume: 'start' }, /CLI_OPTION_CONFLICT resume goes on with the run as it is, so model/],
    [{ from: 'start' }, /CLI_OPTION_CONFLICT from brings what model would bring/],
  ])('refuses %j before anything is spent', async (more, message) => {
    await expect(all({ ...config('refused'), ...more } as TrainInput)).rejects.toThrow(message);
  });

  test('refuses what is no config, and a run that is not there', async () => {
    await expect(all('x' as unknown as TrainInput)).rejects.toThrow(/CONFIG_VALUE a config is an object, not "x"/);
    await expect(all({ resume: 'gone' })).rejects.toThrow(/RUN_NOT_FOUND there is no run gone/);
    await expect(all({ from: 'start:step-99' })).rejects.toThrow(/RUN_(CHECKPOINT_)?NOT_FOUND/);
  });
});
