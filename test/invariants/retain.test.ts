import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { train as trainFromCode } from '../../src/registry/train.ts';
import type { Activity } from '../../src/train/activity.ts';
import { cli, type Line, linesOf, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { writeRows } from '../support/golden-rows.ts';
import { type Flags, interrupted, train, trainArgs, writeToys } from '../support/toy-runs.ts';

/** One engine for all runs of the file: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
const general = writeRows(
  path.join(toys.folder, 'general.jsonl'),
  ['Rain falls.', 'Snow lies on the hill.', 'The sun is out.'].map((text) => ({ text })),
);

/** The error of a run that is not begun. */
async function refused(flags: Flags): Promise<string> {
  const { exit, stderr } = await cli(trainArgs(toys, 'refused', flags));
  expect(exit, stderr).toBe(2);
  return stderr;
}

/** Weights of a run, whatever trained. */
function weightsOf(run: string, weights: string | number | true | undefined, folder = 'last'): Buffer {
  return readFileSync(path.join(run, folder, `${weights === 'full' ? '' : 'adapter_'}model.safetensors`));
}

/** A run that was interrupted ends as one that was not. */
async function expectSameBits(name: string, flags: Flags): Promise<void> {
  const straight = await train(toys, flags);
  const run = await interrupted(toys, name, flags, '"step":5,');
  expect(lossesOf(linesOf(readFileSync(path.join(run, 'events.jsonl'), 'utf8')))).toEqual(straight.losses);
  expect(weightsOf(run, flags.weights).equals(weightsOf(straight.run, flags.weights))).toBe(true);
}

const tokensOf = (lines: readonly Line[]) =>
  lines.filter(({ type }) => type === 'step').map((line) => Number(line.tokens));

describe('--replay beside answers', () => {
  test('changes what is trained, by its share', async () => {
    const [without, some, more] = await Promise.all(
      [{}, { replay: general, 'replay-ratio': 0.3 }, { replay: general, 'replay-ratio': 0.6 }].map((flags) =>
        train(toys, flags),
      ),
    );
    expect(some!.losses).not.toEqual(without!.losses);
    expect(more!.losses).not.toEqual(some!.losses);
    for (const [i, n] of tokensOf(some!.lines).entries()) expect(n).toBeGreaterThan(tokensOf(without!.lines)[i]!);
  });

  test('is a tenth of a step where nothing is said, and stands in the plan', async () => {
    const { lines } = await cli([...trainArgs(toys, 'planned', { replay: general }), '--plan']);
    const plan = lines.find(({ type }) => type === 'plan') as unknown as { replay: { perStep: number; rows: number } };
    expect(plan.replay.rows).toBe(3);
    expect(plan.replay.perStep).toBeCloseTo(8 / 9);
  });

  test.each(['lora', 'full'])('goes on to the same bits with %s weights', async (weights) => {
    const flags = { replay: general, 'replay-ratio': 0.3, weights, steps: 12, 'save-every': 3 };
    await expectSameBits(`replayed-${weights}`, flags);
  });

  test('of the text that is measured is refused, with its line', async () => {
    const [first = ''] = readFileSync('examples/general.txt', 'utf8').split('\n');
    const measured = writeRows(path.join(toys.folder, 'measured.jsonl'), [{ text: 'Rain falls.' }, { text: first }]);
    const said = await refused({ replay: measured });
    expect(said).toContain('REPLAY_MEASURED');
    expect(said).toContain('measured.jsonl:2');
  });

  test.each([
    ['a file that is not there', { replay: 'missing.jsonl' }, 'FILE_NOT_FOUND'],
    ['a share without a file', { 'replay-ratio': 0.1 }, '--replay-ratio has no effect without --replay'],
    ['a share of everything', { replay: general, 'replay-ratio': 1 }, '--replay-ratio'],
    ['a method that replays nothing', { method: 'classify', replay: general }, 'CLI_OPTION_CONFLICT'],
  ])('with %s is refused', async (_, flags, error) => {
    expect(await refused(flags as Flags)).toContain(error);
  });
});

describe('--kl-weight', () => {
  const klOf = (lines: readonly Line[], name: string) =>
    lines.flatMap(({ type, metrics }) => {
      const found = type === 'step' ? (metrics as Readonly<Record<string, number>> | undefined)?.[name] : undefined;
      return found === undefined ? [] : [found];
    });
  const FLAGS = { lr: 3e-2, steps: 8, 'save-every': 100 };

  test.each(['lora', 'full'])(
    'keeps the model nearer to its start on prompts, the more it weighs: %s',
    async (weights) => {
      const lr = weights === 'full' ? 3e-3 : 3e-2;
      const ends: number[] = [];
      for (const kl of [1e-6, 1, 30]) {
        const { lines } = await train(toys, { ...FLAGS, lr, weights, 'kl-weight': kl });
        const course = klOf(lines, 'kl/prompts');
        expect(Math.abs(course[0]!)).toBeLessThan(1e-5);
        ends.push(course.at(-1)!);
      }
      expect(ends[1]!).toBeLessThan(ends[0]!);
      expect(ends[2]!).toBeLessThan(0.5 * ends[0]!);
    },
  );

  test('that weighs nothing changes nothing', async () => {
    const [without, faint] = [await train(toys, FLAGS), await train(toys, { ...FLAGS, 'kl-weight': 1e-9 })];
    for (const [i, loss] of faint.losses.entries()) expect(loss).toBeCloseTo(without.losses[i]!, 4);
  });

  test.each([general, 'self'])('holds what is replayed too, the more it weighs: %s', async (replay) => {
    const flags = { ...FLAGS, replay, 'replay-ratio': 0.3, steps: 6 };
    const ends: number[] = [];
    for (const kl of [1e-6, 30]) {
      const { lines } = await train(toys, { ...flags, 'kl-weight': kl });
      ends.push(klOf(lines, 'kl/replay').at(-1)!);
    }
    expect(ends[1]!).toBeLessThan(0.5 * ends[0]!);
  });

  test('starts from an adapter, and is 0 there', async () => {
    const { run } = await train(toys, { rank: 4 });
    const from = { 'init-adapter': path.join(run, 'last'), 'kl-weight': 1 };
    const { lines } = await train(toys, from);
    expect(Math.abs(klOf(lines, 'kl/prompts')[0]!)).toBeLessThan(1e-5);
  });

  test.each(['lora', 'full'])('goes on to the same bits with %s weights', async (weights) => {
    const flags = { replay: general, 'replay-ratio': 0.3, 'kl-weight': 1, weights, steps: 12, 'save-every': 3 };
    await expectSameBits(`held-${weights}`, flags);
  });

  test.each([
    ['of nothing', { 'kl-weight': 0 }, '--kl-weight'],
    ['beside a method that has none', { method: 'dpo', 'kl-weight': 1 }, 'CLI_OPTION_CONFLICT'],
    ['where there are no prompts', { data: general, batch: 3, 'kl-weight': 1 }, 'the rows have no prompts'],
  ])('%s is refused', async (_, flags, error) => {
    expect(await refused(flags as Flags)).toContain(error);
  });
});

describe('--ema', () => {
  const FLAGS = { valid: 0.3, steps: 8, 'eval-every': 2, 'save-every': 8 };

  test('evaluates and keeps the mean, and trains as without it', async () => {
    const [plain, mean] = [await train(toys, FLAGS), await train(toys, { ...FLAGS, ema: 0.9 })];
    expect(mean.losses).toEqual(plain.losses);
    const evals = ({ lines }: { lines: readonly Line[] }) => lines.filter(({ type }) => type === 'eval');
    expect(evals(mean)[0]).toEqual(evals(plain)[0]);
    expect(evals(mean).at(-1)).not.toEqual(evals(plain).at(-1));
    expect(weightsOf(mean.run, 'lora').equals(weightsOf(plain.run, 'lora'))).toBe(false);
    const own = readFileSync(path.join(mean.run, 'checkpoints/step-000008/adapter_model.safetensors'));
    expect(own.equals(weightsOf(plain.run, 'lora'))).toBe(true);
  });

  test('is the mean that its formula says', async () => {
    const { run } = await train(toys, { steps: 3, 'save-every': 1, keep: 9, ema: 0.5, weights: 'full' });
    const [one, two, three] = [1, 2, 3].map((step) =>
      valuesOf(path.join(run, `checkpoints/step-00000${step}/model.safetensors`)),
    ) as [Float32Array, Float32Array, Float32Array];
    const start = valuesOf(path.join(toys.model, 'model.safetensors'));
    const mean = valuesOf(path.join(run, 'last/model.safetensors'));
    const shares = [2 / 11, 3 / 12, 4 / 13];
    for (const [i, value] of mean.entries()) {
      const course = [one[i]!, two[i]!, three[i]!];
      const wanted = course.reduce((sum, x, k) => shares[k]! * sum + (1 - shares[k]!) * x, start[i]!);
      expect(value).toBeCloseTo(wanted, 6);
    }
  });

  test.each(['lora', 'dora', 'full'])('goes on to the same bits with %s weights', async (weights) => {
    await expectSameBits(`mean-${weights}`, { ema: 0.9, weights, valid: 0.3, steps: 12, 'save-every': 3 });
  });
});

/** The values of a norm of a model file. */
function valuesOf(file: string): Float32Array {
  const tensor = readSafetensorsHeader(file).tensors.find(({ name }) => name === 'model.norm.weight');
  return readStored(tensor!);
}

describe('--replay self', () => {
  const FLAGS = { replay: 'self', 'replay-samples': 6, 'replay-ratio': 0.4, steps: 6, 'save-every': 100 };
  const samplesOf = (run: string) => readFileSync(path.join(run, 'replay.jsonl'), 'utf8');
  const klOf = (lines: readonly Line[]) =>
    lines.flatMap(({ type, metrics }) => {
      const found =
        type === 'step' ? (metrics as Readonly<Record<string, number>> | undefined)?.['kl/replay'] : undefined;
      return found === undefined ? [] : [found];
    });

  test('holds the model to what it said before it trained', async () => {
    const [without, some, more] = [
      await train(toys, { steps: 6, 'save-every': 100 }),
      await train(toys, { ...FLAGS, lr: 3e-2 }),
      await train(toys, { ...FLAGS, lr: 3e-2, 'replay-ratio': 0.9 }),
    ];
    expect(some.losses).not.toEqual(without.losses);
    expect(samplesOf(some.run).trim().split('\n').length).toBe(6);
    expect(samplesOf(more.run)).toBe(samplesOf(some.run));
    expect(Math.abs(klOf(some.lines)[0]!)).toBeLessThan(1e-5);
    expect(klOf(more.lines).at(-1)!).toBeLessThan(klOf(some.lines).at(-1)!);
  });

  test('samples other text by another seed, and answers the prompts of an earlier task', async () => {
    const [one, other, asked] = [
      await train(toys, { ...FLAGS, steps: 1 }),
      await train(toys, { ...FLAGS, steps: 1, seed: 1 }),
      await train(toys, { ...FLAGS, steps: 1, 'replay-prompts': toys.chats }),
    ];
    expect(samplesOf(other.run)).not.toBe(samplesOf(one.run));
    expect(samplesOf(asked.run)).not.toBe(samplesOf(one.run));
  });

  test('takes the prompts of the run that it starts from', async () => {
    const { run } = await train(toys, { steps: 1 });
    const name = 'from-earlier';
    const flags = ['--replay', 'self', '--replay-samples', '4', '--steps', '1', '--name', name, '--out', toys.folder];
    const { exit, stderr } = await cli(['train', '--from', run, '--data', toys.chats, ...flags]);
    expect(exit, stderr).toBe(0);
    const config = JSON.parse(readFileSync(path.join(toys.folder, name, 'config.json'), 'utf8'));
    expect(config.method.replayPrompts).toBe(path.resolve(toys.chats));
    expect(config.origins['method.replayPrompts']).toBe(`run ${run}`);
  });

  test.each(['lora', 'full'])('goes on to the same bits with %s weights', async (weights) => {
    await expectSameBits(`rehearsed-${weights}`, { ...FLAGS, weights, steps: 12, 'save-every': 3 });
  });

  test('goes on with its sampling where it was interrupted, to the same rows', async () => {
    const sampled = async (name: string, interruptAt: number) => {
      const run = path.join(toys.folder, name);
      const config = {
        model: toys.model,
        data: { train: toys.chats, valid: 'none' },
        method: { kind: 'sft', replay: 'self', replaySamples: 36 },
        train: { steps: 1, batch: 8, seed: 5 },
        output: { out: toys.folder, name, eval: false },
        compute: { threads: 1 },
      } as const;
      const home = path.join(toys.folder, `home-${name}`);
      const stop = new AbortController();
      const onActivity = ({ kind, done }: Activity) => {
        if (kind === 'rehearse' && done >= interruptAt) stop.abort();
      };
      for await (const _ of trainFromCode(config, { home, onActivity, signal: stop.signal }));
      const kept = samplesOf(run);
      if (stop.signal.aborted) for await (const _ of trainFromCode({ resume: run }, { home }));
      return { kept, whole: samplesOf(run) };
    };
    const [straight, broken] = [await sampled('sampled', 99), await sampled('sampled-twice', 20)];
    expect(broken.kept.trim().split('\n').length).toBe(16);
    expect(straight.whole.trim().split('\n').length).toBe(36);
    expect(broken.whole).toBe(straight.whole);
  });

  test.each([
    ['prompts', { 'replay-prompts': toys.chats }, '--replay-prompts has no effect without --replay self'],
    ['samples', { replay: general, 'replay-samples': 4 }, '--replay-samples has no effect without --replay self'],
    ['prompts that are not there', { replay: 'self', 'replay-prompts': 'missing.jsonl' }, 'FILE_NOT_FOUND'],
    ['prompts of rows that ask nothing', { replay: 'self', 'replay-prompts': general }, 'DATA_NO_QUESTION'],
  ])('refuses %s', async (_, flags, error) => {
    expect(await refused(flags as Flags)).toContain(error);
  });
});

describe('a budget of forgetting', () => {
  const FLAGS: Flags = {
    'forget-general-text': '5%',
    valid: 0.3,
    steps: 10,
    lr: 0.1,
    'eval-every': 1,
    'save-every': 100,
  };
  const eventsOf = (lines: readonly Line[], kind: string) => lines.filter(({ type }) => type === kind);
  /** A model that knows the general text, for a random one has nothing to forget. */
  let knowing: string;
  beforeAll(async () => {
    const lessons = { method: 'pretrain', data: 'examples/general.txt', weights: 'full', 'max-length': 128, lr: 1e-2 };
    const { run } = await train(toys, { ...lessons, batch: 16, steps: 60, 'save-every': 100 });
    knowing = path.join(run, 'best');
  }, 120_000);
  interface Found {
    readonly points: readonly { readonly step: number; readonly strength: number; readonly used: number }[];
    readonly chosen: { readonly step: number; readonly strength: number; readonly used: number; readonly loss: number };
    readonly isKept: boolean;
    readonly report: { readonly before: number; readonly after: number };
  }
  const rateOf = (weights: string) => (weights === 'full' ? 1e-2 : 3e-2);
  const foundIn = (lines: readonly Line[]) => eventsOf(lines, 'forgetting')[0] as unknown as Found;

  test.each(['lora', 'full'])('is kept by what is written as best, and each act is an event: %s', async (weights) => {
    const { lines, run } = await train(toys, { ...FLAGS, model: knowing, weights, lr: rateOf(weights) });
    const acts = eventsOf(lines, 'act').map(({ act }) => act);
    expect(acts[0]).toBe('replay');
    const found = foundIn(lines);
    expect(found.isKept).toBe(true);
    expect(found.chosen.used).toBeLessThanOrEqual(1);
    expect(found.chosen.strength).toBeLessThan(1);
    expect(found.points.some(({ used }) => used > 1)).toBe(true);
    const file = JSON.parse(readFileSync(path.join(run, 'forgetting.json'), 'utf8'));
    expect(file.chosen).toEqual(found.chosen);
    const { lines: scored } = await cli(['score', run, '--data', toys.chats, '--threads', 1]);
    expect(scored.some(({ type }) => type === 'total')).toBe(true);
  });

  test('is looked at after 1, 2, 4, ... steps, before any evaluation', async () => {
    const flags = { ...FLAGS, model: knowing, lr: rateOf('lora'), 'eval-every': 100, steps: 5 };
    const acts = eventsOf((await train(toys, flags)).lines, 'act');
    expect(acts.slice(0, 2).map(({ step, act }) => [step, act])).toEqual([
      [1, 'replay'],
      [1, 'kl'],
    ]);
    expect(acts.every(({ step }) => [1, 2, 4].includes(Number(step)))).toBe(true);
  });

  test('changes nothing where it is never threatened', async () => {
    const plain = { ...FLAGS, model: knowing, 'forget-general-text': undefined, lr: 1e-4 };
    const [without, roomy] = [await train(toys, plain), await train(toys, { ...plain, 'forget-general-text': '90%' })];
    for (const [i, loss] of roomy.losses.entries()) expect(loss).toBeCloseTo(without.losses[i]!, 6);
    expect(eventsOf(roomy.lines, 'act')).toEqual([]);
    expect(foundIn(roomy.lines).chosen.strength).toBe(1);
  });

  test.each(['lora', 'full'])('goes on to the same bits with %s weights', async (weights) => {
    const flags = { ...FLAGS, model: knowing, weights, lr: rateOf(weights), steps: 8, 'save-every': 2 };
    const straight = await train(toys, flags);
    const run = await interrupted(toys, `budgeted-${weights}`, flags, '"step":5,');
    const lines = linesOf(readFileSync(path.join(run, 'events.jsonl'), 'utf8'));
    expect(lossesOf(lines)).toEqual(straight.losses);
    expect(foundIn(lines)).toEqual(foundIn(straight.lines));
    expect(eventsOf(lines, 'act')).toEqual(eventsOf(straight.lines, 'act'));
    expect(weightsOf(run, weights, 'best').equals(weightsOf(straight.run, weights, 'best'))).toBe(true);
  });

  test.each([
    ['a bare number', { 'forget-general-text': '3', valid: 0.3 }, 'must be a percentage such as 3%'],
    ['nothing', { 'forget-general-text': '0%', valid: 0.3 }, 'must be above 0%'],
    ['a run without validation rows', { 'forget-general-text': '3%' }, 'needs validation rows'],
    ['a method that keeps none', { 'forget-suite': 2, method: 'classify' }, 'has no effect on --method classify'],
  ])('of %s is refused', async (_, flags, error) => {
    expect(await refused(flags as Flags)).toContain(error);
  });
});
