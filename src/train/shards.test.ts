import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import type { Render, Row } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { IGNORE } from '../text/example.ts';
import { openShards, type ShardPlace } from './shards.ts';

const folder = temporaryFolder();
const rows: Row[] = Array.from({ length: 50 }, (_, i) => ({
  ...{ kind: 'text', text: `row ${i}`, source: { file: 'rows.jsonl', line: i + 1 } },
}));
const file = { path: 'rows.jsonl', sha256: 'abc', bytes: 5e6, shape: 'text', rows: rows.length } as const;
const text = { kind: 'gguf', metadata: { 'tokenizer.ggml.model': 'gpt2', large: 5n } } as const;
let run = 0;
let place: ShardPlace;
beforeEach(() => {
  place = {
    folder: path.join(folder, String(run++)),
    text,
    clock: '2026-12-01T10:00:00Z',
    options: { trainOn: 'all' },
  };
});

/** Codes of the characters; every second row is two examples, and one cannot be rendered. */
function renderer(shift = 0) {
  let calls = 0;
  const render: Render = (row) => {
    calls++;
    if (row.kind !== 'text') throw new Error('not asked');
    if (row.text === 'row 13') throw new TunesmithError('DATA_ROLE_UNKNOWN', { message: 'is unlucky.' });
    const ids = Int32Array.from(row.text, (c) => c.charCodeAt(0) + shift);
    const example = { ids, labels: ids.map((id, i) => (i < 2 ? IGNORE : id)) };
    return row.source.line % 2 === 0 ? [example, example] : [example];
  };
  return { render, calls: () => calls };
}

/** Renders all rows as a run would. */
function pass(given: Partial<{ place: ShardPlace; shift: number; sha256: string; bytes: number }> = {}) {
  const made = renderer(given.shift);
  const files = [{ ...file, sha256: given.sha256 ?? file.sha256, bytes: given.bytes ?? file.bytes }];
  const shards = openShards(rows, files, made.render, given.place ?? place);
  const examples = rows.filter((_, i) => i !== 13).map((row) => shards.render(row));
  shards.keep();
  return { examples, calls: made.calls(), shards };
}

test('rows of a large file are rendered once; the second time they come out the same from the disk', () => {
  const first = pass();
  expect(first.calls).toBe(49);
  const second = pass();
  expect(second.examples).toEqual(first.examples);
  // Only the probes.
  expect(second.calls).toBe(16);
  // What could not be rendered fails again, and what is no row of the files is rendered.
  expect(() => second.shards.render(rows[13]!)).toThrow('is unlucky');
  const other: Row = { kind: 'text', text: 'other', source: { file: 'rows.jsonl', line: 1 } };
  expect(second.shards.render(other)[0]!.ids).toHaveLength(5);
});

test('another file, template, option, or day that the template asks for is another shard', () => {
  pass();
  expect(pass({ sha256: 'abd' }).calls).toBe(49);
  expect(pass({ place: { ...place, options: { trainOn: 'last' } } }).calls).toBe(49);
  const dated = { kind: 'gguf', metadata: { 'tokenizer.chat_template': '{{ strftime_now("%d") }}' } } as const;
  expect(pass({ place: { ...place, text: dated } }).calls).toBe(49);
  expect(pass({ place: { ...place, text: dated, clock: '2026-12-01T23:00:00Z' } }).calls).toBe(16);
  expect(pass({ place: { ...place, text: dated, clock: '2026-12-02T10:00:00Z' } }).calls).toBe(49);
});

test('a renderer that makes something else of the rows is noticed, and a shard that is not whole is not used', () => {
  pass();
  const changed = pass({ shift: 1 });
  expect(changed.examples[0]![0]!.ids[0]).toBe('r'.charCodeAt(0) + 1);
  expect(pass({ shift: 1 }).calls).toBe(16);
  const shard = path.join(place.folder, readdirSync(place.folder)[0]!);
  writeFileSync(shard, readFileSync(shard).subarray(0, 200));
  expect(pass({ shift: 1 }).calls).toBe(49);
});

test('small files are not kept', () => {
  pass({ bytes: 1000 });
  expect(pass({ bytes: 1000 }).calls).toBe(49);
});
