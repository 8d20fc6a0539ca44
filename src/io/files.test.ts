import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import { makeFolder, recoverFolder, removePartials, writeAtomic, writeFolderAtomic } from './atomic.ts';
import {
  fileExists,
  fileSize,
  folderExists,
  freeDiskBytes,
  openAppender,
  readJson,
  readText,
  requireFolder,
  sha256,
  sha256File,
} from './files.ts';
import { writeError } from './fs-errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (...names: string[]) => join(folder, ...names);
const given = (name: string, content: string | Uint8Array) => {
  writeFileSync(at(name), content);
  return at(name);
};
const errorOf = (action: () => unknown): TunesmithError => {
  try {
    action();
  } catch (error) {
    if (error instanceof TunesmithError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('reading', () => {
  it('strips a byte order mark and leaves line ends alone', () => {
    expect(readText(given('a.txt', '\ufeffä\r\nb'))).toBe('ä\r\nb');
  });

  it('names the line of a byte that is not UTF-8, and UTF-16 by its name', () => {
    const bad = errorOf(() => readText(given('a.txt', Buffer.from([0x61, 0x0a, 0x62, 0x0a, 0xff, 0x0a]))));
    expect([bad.code, bad.details.line]).toEqual(['FILE_NOT_UTF8', 3]);
    expect(errorOf(() => readText(given('a.txt', Buffer.from('\ufeffhi', 'utf16le')))).message).toMatch('UTF-16');
  });

  it('names the line where JSON breaks', () => {
    const bad = errorOf(() => readJson(given('a.json', '{\n "a": 1,\n b\n}')));
    expect([bad.code, bad.details.line]).toEqual(['FILE_NOT_JSON', 3]);
    expect(readJson(given('a.json', '\ufeff{"a":[1]}'))).toEqual({ a: [1] });
  });

  it('says what is not there', () => {
    expect(errorOf(() => readText(at('none'))).code).toBe('FILE_NOT_FOUND');
    expect(errorOf(() => readText(at('no\0ne'))).code).toBe('FILE_NOT_FOUND');
    expect(errorOf(() => readText(folder)).code).toBe('FILE_UNREADABLE');
    expect(errorOf(() => fileSize(folder)).code).toBe('FILE_UNREADABLE');
    expect(errorOf(() => requireFolder(given('f', ''))).code).toBe('FILE_NOT_FOUND');
    expect([fileExists(at('f')), fileExists(folder), fileExists(at('no\0ne'))]).toEqual([true, false, false]);
    expect([folderExists(at('f')), folderExists(folder)]).toEqual([false, true]);
  });

  it('hashes bytes and files alike', async () => {
    const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(sha256('abc')).toBe(expected);
    expect(await sha256File(given('a', 'abc'))).toBe(expected);
    await expect(sha256File(at('none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('knows the room on the disk of a folder that is not there yet', () => {
    expect(freeDiskBytes(at('not', 'yet'))).toBe(freeDiskBytes(folder));
    expect(freeDiskBytes(folder)).toBeGreaterThan(0);
  });
});

describe('writeAtomic', () => {
  it('replaces a file and leaves nothing beside it', () => {
    writeAtomic(at('a'), 'one');
    writeAtomic(at('a'), [Buffer.from('t'), Buffer.from('wo')]);
    expect(readText(at('a'))).toBe('two');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('says that the folder has vanished', () => {
    expect(errorOf(() => writeAtomic(at('gone', 'a'), 'x')).code).toBe('FILE_WRITE_FAILED');
  });

  it.runIf(existsSync('/dev/full'))('says that the disk is full', () => {
    const appender = openAppender('/dev/full');
    expect(errorOf(() => appender.append('x')).code).toBe('DISK_FULL');
    appender.close();
  });

  it('names a full disk by its code', () => {
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    expect(writeError(full, 'a').message).toMatch(/DISK_FULL a .*no space.*Fix: free/);
  });
});

describe('writeFolderAtomic', () => {
  const fill = (text: string) => (target: string) => writeAtomic(join(target, 'a'), text);

  it('makes and replaces a folder as a whole', async () => {
    await writeFolderAtomic(at('x'), fill('one'));
    writeFileSync(at('x', 'stale'), '');
    await writeFolderAtomic(at('x'), fill('two'));
    expect(readText(at('x', 'a'))).toBe('two');
    expect(readdirSync(at('x'))).toEqual(['a']);
    expect(readdirSync(folder)).toEqual(['x']);
  });

  it('keeps the old folder when the new one fails', async () => {
    await writeFolderAtomic(at('x'), fill('one'));
    const failing = async (target: string) => {
      writeAtomic(join(target, 'a'), 'half');
      throw new Error('stop');
    };
    await expect(writeFolderAtomic(at('x'), failing)).rejects.toThrow('stop');
    expect(readText(at('x', 'a'))).toBe('one');
    expect(readdirSync(folder)).toEqual(['x']);
  });

  it('puts back the folder that a killed process had set aside', async () => {
    await writeFolderAtomic(at('x'), fill('one'));
    renameSync(at('x'), at('.x.old'));
    mkdirSync(at('.x.0123abcd.partial'));
    recoverFolder(at('x'));
    removePartials(folder);
    expect(readText(at('x', 'a'))).toBe('one');
    expect(readdirSync(folder)).toEqual(['x']);
  });
});

describe('openAppender', () => {
  it('appends, and first cuts back to a byte offset', () => {
    makeFolder(at('d', 'e'));
    const first = openAppender(at('d', 'e', 'log'));
    expect([first.append('ä\n'), first.append('b\n')]).toEqual([3, 5]);
    first.close();
    const second = openAppender(at('d', 'e', 'log'), 3);
    expect(second.append('c\n')).toBe(5);
    second.close();
    expect(readFileSync(at('d', 'e', 'log'), 'utf8')).toBe('ä\nc\n');
    expect(errorOf(() => openAppender(at('d', 'e', 'log'), 99)).code).toBe('FILE_CUT_SHORT');
  });
});
