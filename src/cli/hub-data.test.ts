import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, linesOf, temporaryFolder } from '../../test/support/cli.ts';
import { openToyHub, type ToyHub } from '../../test/support/toy-hub.ts';
import { main } from './run.ts';

const folder = temporaryFolder();
const rows = Array.from({ length: 40 }, (_, i) => ({
  prompt: `Is shop ${i} open?`,
  completion: `Shop ${i} opens at ${i}.`,
}));
const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
let hub: ToyHub;
beforeAll(async () => {
  hub = await openToyHub({ 'datasets/shop/faq': { files: { 'train.jsonl': text, 'test.jsonl': text } } });
});
afterAll(() => hub.close());

async function call(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [out, err]: [string[], string[]] = [[], []];
  const exit = await main([...args, '--json'], {
    stdout: { write: (part: string) => out.push(part) },
    stderr: { write: (part: string) => err.push(part) },
    env: { TUNESMITH_HOME: join(folder, 'home'), HF_ENDPOINT: hub.url, HF_HOME: join(folder, 'hf'), ...env },
    signal: new AbortController().signal,
  });
  return { exit, lines: linesOf(out.join('')), stderr: err.join('') };
}

describe('data sets of the hub as input', () => {
  it('are asked for by split, fetched, and read as files are', async () => {
    const choice = await call(['data', 'stats', 'datasets/shop/faq']);
    expect(choice.exit).toBe(2);
    expect(JSON.stringify(choice.lines)).toContain('datasets/shop/faq:train or datasets/shop/faq:test');
    const out = join(folder, 'faq.jsonl');
    const done = await call(['data', 'convert', 'datasets/shop/faq:train', '--to', 'prompt-completion', '--out', out]);
    expect(done).toMatchObject({ exit: 0 });
    expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(40);
    const asked = hub.asked.length;
    expect(await call(['data', 'check', 'datasets/shop/faq:train', '--offline'])).toMatchObject({ exit: 0 });
    expect(hub.asked).toHaveLength(asked);
  });

  it('are refused offline where they are not here', async () => {
    const { exit, lines } = await call(['data', 'stats', 'datasets/shop/faq:test', '--offline']);
    expect(exit).toBe(2);
    expect(lines.at(-1)).toMatchObject({ code: 'DATA_HUB' });
  });
});

describe('data convert --out FILE.parquet', () => {
  it('writes columns that other readers of .parquet understand', async () => {
    const file = join(folder, 'rows.jsonl');
    writeFileSync(file, text);
    const out = join(folder, 'rows.parquet');
    expect(await cli(['data', 'convert', file, '--to', 'openai', '--out', out])).toMatchObject({ exit: 0 });
    const bytes = readFileSync(out);
    const read = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
    expect(read).toHaveLength(40);
    expect(read[0]).toEqual({
      messages: [
        { role: 'user', content: rows[0]?.prompt },
        { role: 'assistant', content: rows[0]?.completion },
      ],
    });
  });
});
