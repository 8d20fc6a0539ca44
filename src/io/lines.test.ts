import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from './files.ts';
import { openBytes, type TextLine, textLines } from './lines.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-lines-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function linesOf(bytes: Uint8Array, chunk = bytes.length || 1): Promise<TextLine[]> {
  async function* chunks() {
    for (let i = 0; i < bytes.length; i += chunk) yield Buffer.from(bytes.subarray(i, i + chunk));
  }
  const lines: TextLine[] = [];
  for await (const line of textLines(chunks())) lines.push(line);
  return lines;
}

async function fileLines(path: string): Promise<TextLine[]> {
  const lines: TextLine[] = [];
  for await (const line of textLines(openBytes(path).chunks)) lines.push(line);
  return lines;
}

describe('lines', () => {
  test('come the same however the bytes are cut', async () => {
    const text = fc.array(fc.string({ unit: 'binary' }).map((s) => s.replace(/[\r\n\ufeff]/g, '')));
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), fc.boolean(), async (lines, chunk, crlf) => {
        const bytes = Buffer.from(lines.map((l) => l + (crlf ? '\r\n' : '\n')).join(''), 'utf8');
        const read = await linesOf(bytes, chunk);
        // Lone surrogates cannot be written as UTF-8.
        expect(read).toEqual(lines.map((l, i) => ({ line: i + 1, text: l.toWellFormed() })));
      }),
    );
  });

  test('a byte order mark is left out, and the last line needs no end', async () => {
    expect(await linesOf(Buffer.from('\ufeffa\r\n\r\nb'))).toEqual([
      { line: 1, text: 'a' },
      { line: 2, text: '' },
      { line: 3, text: 'b' },
    ]);
  });

  test('a line that is not UTF-8 is named, and the next ones still come', async () => {
    const bytes = Buffer.concat([Buffer.from('a\n'), Buffer.from([0xff, 0x0a]), Buffer.from('b\n')]);
    expect(await linesOf(bytes)).toEqual([
      { line: 1, text: 'a' },
      { line: 2, problem: 'utf8' },
      { line: 3, text: 'b' },
    ]);
  });

  test('UTF-16 is named once', async () => {
    expect(await linesOf(Buffer.from('\ufeffa\nb\n', 'utf16le'))).toEqual([{ line: 1, problem: 'utf16' }]);
  });
});

describe('files', () => {
  test('gzip is recognised by its first bytes, and the digest is of the file as it stands', async () => {
    const path = join(folder, 'plain-name.jsonl');
    const bytes = gzipSync('one\ntwo\n');
    writeFileSync(path, bytes);
    const source = openBytes(path);
    let text = '';
    for await (const chunk of source.chunks) text += chunk.toString();
    expect(text).toBe('one\ntwo\n');
    expect(source.digest()).toEqual({ sha256: sha256(bytes), bytes: bytes.length });
  });

  test('a gzip file cut short or changed is an error, wherever', async () => {
    const whole = gzipSync(Array.from({ length: 2000 }, (_, i) => `line ${i * 7919}`).join('\n'));
    for (const end of [3, 11, 100, whole.length >> 1, whole.length - 1]) {
      const path = join(folder, `cut-${end}.gz`);
      writeFileSync(path, whole.subarray(0, end));
      await expect(fileLines(path)).rejects.toMatchObject({ code: 'DATA_GZIP', details: { file: path } });
    }
    const changed = Buffer.from(whole);
    changed[whole.length >> 1]! ^= 0xff;
    writeFileSync(join(folder, 'changed.gz'), changed);
    await expect(fileLines(join(folder, 'changed.gz'))).rejects.toMatchObject({ code: 'DATA_GZIP' });
  });

  test('a line beyond all measure is reported and not kept', async () => {
    const path = join(folder, 'bomb.gz');
    writeFileSync(path, gzipSync(Buffer.alloc(70 * 2 ** 20, 0x20)));
    expect(await fileLines(path)).toEqual([{ line: 1, problem: 'long' }]);
  });

  test('a file that is not there, and a folder', async () => {
    await expect(fileLines(join(folder, 'nothing.jsonl'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(fileLines(folder)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});
