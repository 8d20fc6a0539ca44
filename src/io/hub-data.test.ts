import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openToyHub, type ToyHub } from '../../test/support/toy-hub.ts';
import { parseDataId, pullDataset } from './hub-data.ts';

const row = `${JSON.stringify({ prompt: 'Is it open?', response: 'It is.' })}\n`;
let hub: ToyHub;
let home = '';
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'tunesmith-data-'));
  hub = await openToyHub({
    'datasets/shop/one': { files: { 'README.md': '# One', 'rows.jsonl': row.repeat(100) } },
    'datasets/shop/splits': {
      files: {
        'data/train-00000-of-00002.jsonl': row,
        'data/train-00001-of-00002.jsonl': row,
        'data/test-00000-of-00001.jsonl': row,
        'dataset_infos.json': '{}',
      },
    },
    'datasets/shop/configs': {
      files: { 'main/train.jsonl': row, 'main/test.jsonl': row, 'socratic/train.jsonl': row },
    },
    'datasets/shop/code': { files: { 'load.py': 'print()' } },
  });
});
afterAll(async () => {
  await hub.close();
  rmSync(home, { recursive: true });
});

function pull(text: string, offline = false): Promise<string[]> {
  const id = parseDataId(text);
  if (id === undefined) throw new Error(`no id: ${text}`);
  return pullDataset(text, id, { home, endpoint: hub.url, offline });
}

describe('data sets of the hub', () => {
  it.each([
    ['datasets/shop/one', 'shop/one', undefined],
    ['hf:shop/one:train', 'shop/one', 'train'],
    ['hf://datasets/shop/one@v1:main/test', 'shop/one', 'main/test'],
  ])('are named %s', (text, repo, part) => {
    expect(parseDataId(text)).toMatchObject({ repo, part });
  });

  it.each(['shop/one', 'train.jsonl', 'datasets/train.jsonl', 'datasets/../x'])('are not named %s', (text) => {
    expect(parseDataId(text)).toBeUndefined();
  });

  it('are fetched once, and are there without the network then', async () => {
    const [file] = await pull('datasets/shop/one');
    expect(readFileSync(file!, 'utf8')).toBe(row.repeat(100));
    const asked = hub.asked.length;
    expect(await pull('datasets/shop/one', true)).toEqual([file]);
    expect(hub.asked).toHaveLength(asked);
    await expect(pull('datasets/shop/splits:test', true)).rejects.toMatchObject({ code: 'DATA_HUB' });
  });

  it('hold all files of the split that is named', async () => {
    expect((await pull('datasets/shop/splits:train')).map((path) => path.slice(-27))).toEqual([
      expect.stringContaining('train-00000-of-00002.jsonl'),
      expect.stringContaining('train-00001-of-00002.jsonl'),
    ]);
    expect(await pull('hf:shop/configs:socratic')).toHaveLength(1);
    expect(await pull('hf:shop/configs:main/test')).toHaveLength(1);
    expect(await pull('hf:shop/configs:main/test.jsonl')).toHaveLength(1);
  });

  it.each([
    ['datasets/shop/splits', 'has 2 splits: train, test', 'datasets/shop/splits:train or datasets/shop/splits:test'],
    ['datasets/shop/configs:train', 'has 2 splits: main/train, socratic/train', 'datasets/shop/configs:main/train'],
    ['datasets/shop/splits:tset', 'has no split tset', 'did you mean datasets/shop/splits:test?'],
    ['datasets/shop/code', 'holds no file of data', undefined],
    ['datasets/shop/none', 'has no data set shop/none', undefined],
    ['datasets/shop/one@v9', 'has no revision v9', undefined],
  ])('%s is refused with the choices', async (text, message, fix) => {
    await expect(pull(text)).rejects.toMatchObject({
      code: 'DATA_HUB',
      details: { message: expect.stringContaining(message), ...(fix && { fix: expect.stringContaining(fix) }) },
    });
  });
});
