/**
 * `npm run bench -- house-style --base ANSWERS.jsonl --out PAIRS.jsonl [--rows FILE]`: preference pairs of a house style: our answers of FILE (default: examples/support) over
 * the base model's own to the same prompts. ANSWERS comes from
 *
 *   tunesmith generate smollm2-135m-instruct --data examples/support/train.jsonl --max-tokens 40 --out ANSWERS.jsonl
 *
 * Afterwards `tunesmith train --method dpo --data PAIRS.jsonl` says how many held-out pairs it tells apart.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const SUPPORT = join(import.meta.dirname, '../examples/support/train.jsonl');

interface Said {
  readonly role: string;
  readonly content: string;
}

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { base: { type: 'string' }, out: { type: 'string' }, rows: { type: 'string', default: SUPPORT } },
  });
  const { base, out } = values;
  if (base === undefined || out === undefined)
    throw new Error('usage: house-style --base ANSWERS.jsonl --out PAIRS.jsonl');
  const rows = linesOf<{ messages: Said[] }>(values.rows);
  const pairs = linesOf<{ index: number; text: string }>(base).flatMap(({ index, text }) => {
    const { messages } = rows[index]!;
    const chosen = messages.at(-1)!.content;
    return text.trim() === '' || text === chosen ? [] : [{ prompt: messages.slice(0, -1), chosen, rejected: text }];
  });
  writeFileSync(out, pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(''));
  console.log(`${pairs.length} pairs in ${out}`);
}

function linesOf<T>(file: string): T[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}
