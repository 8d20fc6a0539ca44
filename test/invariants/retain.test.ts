import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
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
