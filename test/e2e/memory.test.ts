import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModelSource } from '../../src/model/source.ts';
import { RunConfig } from '../../src/train/config.ts';
import { stepBytes } from '../../src/train/memory.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(path.join(folder, 'model'), { max_position_embeddings: 4096 });
const data = writeRows(path.join(folder, 'long.jsonl'), [{ text: 'long '.repeat(600) }, { text: 'short' }]);

/** Room for rows of some hundred tokens, in the leanest way. */
const layout = { tokens: 768, rows: 1, length: 768, dense: true };
const full = RunConfig.parse({ model, data, weights: { kind: 'full' } });
const tight = stepBytes({ config: full, source: openModelSource(model), spec: undefined }, layout, 'nothing', 30);

async function plan(...flags: (string | number)[]) {
  const words = ['train', '--model', model, '--data', data, '--weights', 'full', '--valid', 'none', '--threads', 1];
  const { exit, lines, stderr } = await cli([...words, '--steps', 1, '--out', folder, '--plan', ...flags]);
  type Plan = { automatic: Record<string, { value: number; why: string }>; [name: string]: unknown };
  return { exit, stderr, plan: lines.find(({ type }) => type === 'plan') as unknown as Plan };
}

describe('the length of rows', () => {
  test('is that of the rows where there is memory for it', async () => {
    const { plan: roomy } = await plan();
    expect(roomy.automatic['data.maxLength']).toEqual({ value: 3001, why: '99.5th percentile of the rows' });
    for (const key of ['peakMemoryBytes', 'predictedMemoryBytes', 'measuredMemoryBytes'])
      expect(roomy[key]).toBeGreaterThan(1e7);
  });

  test('is what memory allows where there is less, and longer rows are split', async () => {
    const { plan: lean, stderr } = await plan('--memory', `${tight}B`);
    const { value, why } = lean.automatic['data.maxLength']!;
    expect(value).toBeGreaterThan(256);
    expect(value).toBeLessThan(2048);
    expect(why).toBe('as long as memory allows; the rows would want 3001');
    expect(stderr).toContain('DATA_ROW_LONG');
    expect(lean.predictedMemoryBytes).toBeLessThanOrEqual(tight);
  });

  test('is refused where it was given and does not fit', async () => {
    const { exit, stderr } = await plan('--memory', `${tight}B`, '--max-length', 4096);
    expect(exit).toBe(2);
    expect(stderr).toContain('TRAIN_MEMORY');
    expect(stderr).toContain('--max-length');
  });
});
