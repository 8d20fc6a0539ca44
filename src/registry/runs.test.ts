import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import type { TrainEvent } from '../train/events.ts';
import { holdRun } from '../train/run-lock.ts';
import { readEvents } from './events.ts';
import { compareConfigs, listRuns, removeRuns, resolveRun, showRun, tryResolveRun } from './runs.ts';

let runs: string;

beforeEach(() => {
  runs = join(mkdtempSync(join(tmpdir(), 'tunesmith-runs-')), 'runs');
});
afterEach(() => rmSync(join(runs, '..'), { recursive: true, force: true }));

const step = (n: number, loss: number): TrainEvent => ({
  type: 'step',
  step: n,
  loss,
  gradNorm: 1,
  lr: 0.001,
  tokens: 10,
  tokensPerSecond: 100,
});

interface Sketch {
  readonly config?: object;
  readonly events?: readonly TrainEvent[];
  readonly folders?: readonly string[];
  /** Seconds since 1970. */
  readonly active?: number;
}

function makeRun(name: string, sketch: Sketch = {}): string {
  const path = join(runs, name);
  mkdirSync(path, { recursive: true });
  const config = sketch.config ?? { model: 'm', method: { kind: 'sft' }, weights: { kind: 'lora', rank: 8 } };
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  writeFileSync(join(path, 'events.jsonl'), (sketch.events ?? []).map((e) => `${JSON.stringify(e)}\n`).join(''));
  for (const folder of sketch.folders ?? []) mkdirSync(join(path, folder), { recursive: true });
  utimesSync(join(path, 'events.jsonl'), sketch.active ?? 1, sketch.active ?? 1);
  return path;
}

describe('listRuns', () => {
  it('finds none where there is no folder, and skips what is no run', () => {
    expect(listRuns(runs)).toEqual([]);
    makeRun('a');
    mkdirSync(join(runs, 'notes'));
    expect(listRuns(runs).map((run) => run.name)).toEqual(['a']);
  });

  it('sums a run up', () => {
    const events: TrainEvent[] = [
      step(1, 4),
      { type: 'eval', step: 1, loss: 3.5, tokens: 5 },
      step(2, 2),
      { type: 'eval', step: 2, loss: 3, tokens: 5 },
    ];
    makeRun('a', { events, active: 5 });
    makeRun('b', { events: [...events, { type: 'done', steps: 2, best: 'b', last: 'l' }], active: 3 });
    makeRun('c', { active: 9 });
    const [b, a, c] = listRuns(runs);
    expect(a).toMatchObject({ name: 'a', status: 'stopped', steps: 2, loss: 3, best: 3, model: 'm', weights: 'lora' });
    expect(a?.active).toBe('1970-01-01T00:00:05.000Z');
    expect(b).toMatchObject({ name: 'b', status: 'done' });
    expect(c).toMatchObject({ name: 'c', status: 'new', steps: 0, loss: undefined });
  });
});

describe('resolveRun', () => {
  it('takes a name, a path, and @last for the run that was active last', () => {
    const a = makeRun('a', { active: 20 });
    const b = makeRun('b', { active: 10 });
    expect(resolveRun('b', runs).run).toBe(b);
    expect(resolveRun(b, runs).run).toBe(b);
    expect(resolveRun('@last', runs).run).toBe(a);
  });

  it('stands for the best checkpoint, the last, the newest, or the step that is named', () => {
    const a = makeRun('a', { folders: ['best', 'last', 'checkpoints/step-000100', 'checkpoints/step-000050'] });
    expect(resolveRun('a', runs).weights).toBe(join(a, 'best'));
    expect(resolveRun('a:last', runs).weights).toBe(join(a, 'last'));
    expect(resolveRun('@last:step-100', runs)).toMatchObject({
      weights: join(a, 'checkpoints', 'step-000100'),
      step: 100,
    });
    const b = makeRun('b', { folders: ['checkpoints/step-000005'] });
    expect(resolveRun('b', runs).weights).toBe(join(b, 'checkpoints', 'step-000005'));
    makeRun('c');
    expect(resolveRun('c', runs).weights).toBeUndefined();
  });

  it('names what there is when a step or a run is not there', () => {
    makeRun('bicycles', { folders: ['checkpoints/step-000050'] });
    expect(() => resolveRun('bicycles:step-60', runs)).toThrow(/RUN_CHECKPOINT_NOT_FOUND .*50/);
    expect(() => resolveRun('bicycle', runs)).toThrow(/RUN_NOT_FOUND .*did you mean bicycles/);
    expect(tryResolveRun('bicycle', runs)).toBeUndefined();
  });

  it('does not leave the folder by a name', () => {
    makeRun('a');
    expect(tryResolveRun('..', join(runs, 'a'))).toBeUndefined();
  });
});

describe('showRun, compareConfigs and removeRuns', () => {
  it('shows in what two runs differ', () => {
    const a = showRun(makeRun('a', { config: { model: 'm', train: { lr: 1, batch: 4 } } }));
    const b = showRun(makeRun('b', { config: { model: 'm', train: { lr: 2, batch: 4 }, extra: [1] } }));
    expect(compareConfigs([a, b])).toEqual([
      { key: 'extra', values: [undefined, [1]] },
      { key: 'train.lr', values: [1, 2] },
    ]);
  });

  it('removes runs and refuses any other folder, all or none', () => {
    const [a, b] = [makeRun('a'), makeRun('b')];
    const other = join(runs, 'precious');
    mkdirSync(other);
    expect(() => removeRuns([a, other])).toThrow(TunesmithError);
    expect([existsSync(a), existsSync(other)]).toEqual([true, true]);
    removeRuns([a, b, a]);
    expect([existsSync(a), existsSync(b), existsSync(other)]).toEqual([false, false, true]);
  });

  it('does not remove what a process works on, nor what was named beside it', () => {
    const [a, b] = [makeRun('a'), makeRun('b')];
    const release = holdRun(b);
    expect(showRun(b).status).toBe('running');
    expect(() => removeRuns([a, b])).toThrow(/RUN_ACTIVE .*since .*run\.lock/);
    expect([existsSync(a), existsSync(b)]).toEqual([true, true]);
    release();
    expect(showRun(b).status).toBe('new');
    removeRuns([a, b]);
    expect(listRuns(runs)).toEqual([]);
  });
});

describe('readEvents', () => {
  it('leaves a torn last line out, wherever it was torn', () => {
    const path = join(makeRun('a'), 'events.jsonl');
    const whole = `${JSON.stringify(step(1, 2))}\n`;
    const torn = JSON.stringify(step(2, 1));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: torn.length }), (at) => {
        writeFileSync(path, whole + torn.slice(0, at));
        expect(readEvents(path)).toEqual({ events: [step(1, 2)], torn: true });
      }),
    );
  });

  it('names the line of what is no event, and skips types that it does not know', () => {
    const path = join(makeRun('a'), 'events.jsonl');
    writeFileSync(path, `{"type":"later","x":1}\n\n${JSON.stringify(step(1, 2))}\r\n`);
    expect(readEvents(path).events).toEqual([step(1, 2)]);
    writeFileSync(path, `${JSON.stringify(step(1, 2))}\n{"type":"step","step":1}\n`);
    expect(() => readEvents(path)).toThrow(/RUN_BROKEN .*events\.jsonl:2/);
    writeFileSync(path, '{"type":\n');
    expect(() => readEvents(path)).toThrow(/RUN_BROKEN .*events\.jsonl:1/);
  });
});
