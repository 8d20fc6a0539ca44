import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli } from '../support/cli.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'data-check-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const chat = (asked: string, answer: string) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: asked },
      { role: 'assistant', content: answer },
    ],
  });

function file(name: string, ...lines: string[]): string {
  const place = path.join(folder, name);
  writeFileSync(place, lines.map((line) => `${line}\n`).join(''));
  return place;
}

const good = file('good.jsonl', chat('What is bread?', 'It is baked from flour.'), chat('And milk?', 'Cows give it.'));
const warned = file(
  'warned.jsonl',
  chat('Who helps?', 'Ask anna.keller@gmail.com.'),
  chat('And milk?', 'Cows give it.'),
);
const broken = file('broken.jsonl', chat('What is bread?', ''), chat('And milk?', 'Cows give it.'));

describe('data check', () => {
  it('exits with 3 where errors remain, and where warnings do if they are asked for', async () => {
    expect((await cli(['data', 'check', good])).exit).toBe(0);
    expect((await cli(['data', 'check', warned])).exit).toBe(0);
    expect((await cli(['data', 'check', warned, '--strict'])).exit).toBe(3);
    expect((await cli(['data', 'check', broken])).exit).toBe(3);
    expect((await cli(['data', 'check', broken, '--allow', 'DATA_EMPTY_ANSWER'])).exit).toBe(0);
  });

  it('prints a line for each finding', async () => {
    const { lines } = await cli(['data', 'check', warned]);
    expect(lines).toMatchObject([{ code: 'DATA_PII_EMAIL', severity: 'warning', file: warned, line: 1, related: [] }]);
    expect(JSON.stringify(lines)).not.toContain('anna.keller');
  });

  it('holds rows against those that are held out', async () => {
    const { lines, exit } = await cli([
      'data',
      'check',
      good,
      '--test',
      file('test.jsonl', chat('And milk?', 'Cows give it.')),
    ]);
    expect(lines).toMatchObject([{ code: 'DATA_LEAK', line: 2 }]);
    expect(exit).toBe(3);
  });

  it('tells rows that a model reads too long', async () => {
    const model = writeTinyChatModel(path.join(folder, 'model'));
    const codes = async (...flags: (string | number)[]) =>
      (await cli(['data', 'check', good, ...flags])).lines.map((line) => line.code);
    expect(await codes('--model', model)).toEqual([]);
    expect(await codes('--model', model, '--max-length', 8)).toContain('DATA_ROW_LONG');
  });

  it('writes a page that holds nothing of others', async () => {
    const page = path.join(folder, 'report.html');
    await cli(['data', 'check', broken, '--html', page]);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain('DATA_EMPTY_ANSWER');
    expect(html).not.toMatch(/<script|https?:\/\//);
  });

  it.each([
    [['--max-length', '8'], 'CLI_OPTION_CONFLICT'],
    [['--allow', 'DATA_NOTHING'], 'CLI_OPTION_VALUE'],
  ])('refuses %j', async (flags, code) => {
    const { exit, stderr } = await cli(['data', 'check', good, ...flags]);
    expect(exit).toBe(2);
    expect(stderr).toContain(code);
  });
});

describe('data fix', () => {
  it('writes a file that is in order, with a log that brings the old one back', async () => {
    const rows = [
      chat('Who helps?', 'Ask anna.keller@gmail.com.'),
      chat('Where?', 'At the cafÃ©.'),
      chat('Where?', 'At the cafÃ©.'),
      chat('What?', ''),
    ];
    const messy = file('messy.jsonl', ...rows);
    const [out, key, again] = ['out.jsonl', 'key.json', 'again.jsonl'].map((name) => path.join(folder, name)) as [
      string,
      string,
      string,
    ];
    const fixed = await cli(['data', 'fix', messy, '--out', out, '--pii', 'pseudonymise', '--key', key, '--yes']);
    expect(fixed.exit).toBe(0);
    expect(fixed.lines).toMatchObject([{ type: 'fixed', records: 4, written: 2 }]);
    expect((await cli(['data', 'check', out, '--strict'])).exit).toBe(0);
    const undo = ['data', 'fix', '--undo', `${out}.log.jsonl`, '--out', again];
    expect((await cli(undo)).stderr).toContain('DATA_FIX_LOG');
    expect((await cli([...undo, '--key', key])).exit).toBe(0);
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(messy, 'utf8'));
  });

  it('leaves alone what it may not decide', async () => {
    const out = path.join(folder, 'kept.jsonl');
    await cli(['data', 'fix', broken, '--out', out]);
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(broken, 'utf8'));
  });

  it.each([
    [['--out', good], 'FILE_EXISTS'],
    [['--out', path.join(folder, 'x.jsonl'), '--pii', 'pseudonymise'], 'CLI_ARGUMENT'],
    [['--out', path.join(folder, 'x.jsonl'), '--key', path.join(folder, 'k.json')], 'CLI_OPTION_CONFLICT'],
  ])('refuses %j', async (flags, code) => {
    const { exit, stderr } = await cli(['data', 'fix', good, ...flags]);
    expect(exit).toBe(2);
    expect(stderr).toContain(code);
  });
});
