import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import type { PreparedExample } from '../data/index.ts';
import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import { openModelSource } from '../model/source.ts';
import { RunConfig, type RunConfigInput } from './config.ts';
import { chooseMemory, longestTrainable, parseBytes, stepBytes, type Trainee } from './memory.ts';

const source = openModelSource(writeTinyChatModel(temporaryFolder(), { max_position_embeddings: 4096 }));

function trainee(more: Partial<RunConfigInput> = {}): Trainee {
  const config = RunConfig.parse({ model: 'm', data: 'd', ...more });
  const lora = loraRequest({ rank: 8, alpha: 16, targets: 'all-linear' });
  const spec = config.weights.kind === 'lora' ? resolveAdapter(source.config, lora) : undefined;
  return { config, source, spec };
}

const layout = (length: number, rows = 1) => ({ tokens: rows * length, rows, length, dense: true });

function rowsOf(...lengths: number[]): PreparedExample[] {
  return lengths.map((length, i) => ({
    row: { kind: 'ids', ids: [], labels: [], source: { file: 'rows.jsonl', line: i + 1 } },
    example: { ids: new Int32Array(length), labels: new Int32Array(length) },
  }));
}
const dataset = (train: number[], select: number[] = [], report: number[] = []) => ({
  train: rowsOf(...train),
  select: rowsOf(...select),
  report: rowsOf(...report),
});

const PLENTY = 1e12;

describe('stepBytes', () => {
  it('grows with the tokens, with what is kept, with the shapes, and with what trains', () => {
    const bytes = (length: number, keep: 'matmul' | 'nothing', layouts = 1) =>
      stepBytes(trainee(), layout(length), keep, layouts);
    expect(bytes(512, 'matmul')).toBeGreaterThan(bytes(256, 'matmul'));
    expect(bytes(512, 'matmul')).toBeGreaterThan(bytes(512, 'nothing'));
    expect(bytes(512, 'matmul', 9)).toBeGreaterThan(bytes(512, 'matmul'));
    const full = trainee({ weights: { kind: 'full' } });
    expect(stepBytes(full, layout(64), 'matmul')).not.toBe(bytes(64, 'matmul'));
  });

  it('is quadratic in the length of a row, not in the number of rows', () => {
    const more = (rows: number, length: number) => stepBytes(trainee(), layout(length, rows), 'nothing');
    expect(more(1, 4096) - more(1, 2048)).toBeGreaterThan(more(4, 1024) - more(2, 1024));
  });
});

describe('longestTrainable', () => {
  it('is what the model allows where there is plenty', () => {
    expect(longestTrainable(trainee(), PLENTY)).toBe(4096);
  });

  it('is a length that fits, and the next does not, the leanest way and with rows of every length', () => {
    const most = stepBytes(trainee(), layout(4096), 'nothing', 90);
    const least = stepBytes(trainee(), layout(16), 'nothing');
    let last = 0;
    for (const share of [0.01, 0.1, 0.4, 0.8]) {
      const budget = Math.round(least + share * (most - least));
      const memory = trainee({ compute: { memory: `${budget}B` } });
      const longest = longestTrainable(memory, 0);
      expect(longest).toBeGreaterThan(last);
      last = longest;
      const ofEveryLength = Array.from({ length: 200 }, (_, i) => Math.max(2, Math.round((longest * i) / 199)));
      expect(chooseMemory(memory, dataset(ofEveryLength), 0).predictedBytes).toBeLessThanOrEqual(budget);
      expect(stepBytes(memory, layout(longest + 64), 'nothing', 90)).toBeGreaterThan(budget);
    }
  });

  it('is shorter where micro-batches of several rows were asked for', () => {
    const memory = `${stepBytes(trainee(), layout(4096), 'nothing', 90)}B`;
    const [one, four] = [1, 4].map((microBatch) =>
      longestTrainable(trainee({ compute: { memory }, train: { microBatch } }), 0),
    );
    expect(four).toBeLessThan(one! / 1.5);
  });

  it('refuses a budget into which no row fits', () => {
    expect(() => longestTrainable(trainee(), 1e6)).toThrow(/^TRAIN_MEMORY the run needs 0\.\d+ GB at least/);
  });
});

describe('chooseMemory', () => {
  it('keeps what it can, then nothing, then computes one row at a time', () => {
    const data = dataset(new Array<number>(16).fill(96));
    const roomy = chooseMemory(trainee(), data, PLENTY);
    expect(roomy).toMatchObject({ keep: 'matmul', targetTokens: 512 });
    const within = (bytes: number) => chooseMemory(trainee({ compute: { memory: `${bytes}B` } }), data, 0);
    const lean = within(roomy.predictedBytes - 1);
    expect(lean).toMatchObject({ keep: 'nothing', targetTokens: 512 });
    const leanest = within(lean.predictedBytes - 1);
    expect(leanest).toMatchObject({ keep: 'nothing', targetTokens: 1 });
    expect(() => within(leanest.predictedBytes - 1)).toThrow('TRAIN_MEMORY');
  });

  it('counts validation rows, and names the one that does not fit', () => {
    const short = chooseMemory(trainee(), dataset([32, 32]), PLENTY).predictedBytes;
    const data = dataset([32, 32], [32], [16, 4096]);
    expect(chooseMemory(trainee(), data, PLENTY).predictedBytes).toBeGreaterThan(short);
    const tight = trainee({ compute: { memory: `${short}B` } });
    expect(() => chooseMemory(tight, data, 0)).toThrow(
      /^TRAIN_MEMORY rows\.jsonl:2 is a validation row of 4096 tokens/,
    );
    expect(chooseMemory(tight, dataset([32, 32], [32], [16]), 0).predictedBytes).toBeLessThanOrEqual(short);
  });
});

describe('parseBytes', () => {
  it.each([
    ['3GB', 3e9],
    ['500 MB', 5e8],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['123', 123],
    ['7B', 7],
  ])('%s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each(['much', '', '-3GB', '3 GBit'])('refuses %j', (text) => expect(parseBytes(text)).toBeUndefined());
});
