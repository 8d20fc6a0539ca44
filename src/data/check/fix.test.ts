import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../errors/index.ts';
import { sha256 } from '../../io/files.ts';
import { fixFile, fixLogText, parseFixLog, undoFix } from './fix.ts';
import type { PersonalMode, Pseudonyms } from './repair.ts';

const folder = mkdtempSync(join(tmpdir(), 'fix-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string) => join(folder, name);
const lines = (name: string) =>
  readFileSync(path(name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);

async function fixed(
  rows: readonly unknown[],
  personal?: PersonalMode,
  pseudonyms?: Pseudonyms,
  drop = new Map<number, ErrorCode>(),
) {
  writeFileSync(
    path('in.jsonl'),
    rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''),
  );
  const result = await fixFile(path('in.jsonl'), { out: path('out.jsonl'), personal, pseudonyms, drop });
  return { rows: lines('out.jsonl'), log: fixLogText(result, sha256(readFileSync(path('out.jsonl')))) };
}

const chat = (answer: string, role = 'assistant') => ({
  messages: [
    { role: 'user', content: 'Hi.' },
    { role, content: answer },
  ],
});

describe('fixFile', () => {
  it('leaves out copies, repairs texts and names roles', async () => {
    const { rows, log } = await fixed([chat('One.'), chat('cafÃ©\u0007', 'Bot'), chat('One.')]);
    expect(rows).toEqual([chat('One.'), chat('café')]);
    const codes = parseFixLog(log, 'log').entries.map((entry) => entry.codes);
    expect(codes).toEqual([['DATA_MOJIBAKE', 'DATA_CONTROL', 'DATA_ROLE_UNKNOWN'], ['DATA_DUPLICATE']]);
  });

  it('redacts personal data, and then keeps it nowhere', async () => {
    const { rows, log } = await fixed([chat('Ask a.b@mail.com or +49 30 1234567.')], 'redact');
    expect(rows).toEqual([chat('Ask [EMAIL] or [PHONE].')]);
    expect(log).not.toContain('a.b@mail.com');
    await expect(
      undoFix(parseFixLog(log, 'log'), { source: path('out.jsonl'), out: path('again.jsonl'), pseudonyms: undefined }),
    ).rejects.toThrow('DATA_FIX_LOG');
  });

  it('gives one person one pseudonym', async () => {
    const pseudonyms: Pseudonyms = new Map();
    const { rows, log } = await fixed([chat('a@mail.com, b@mail.com, a@mail.com')], 'pseudonymise', pseudonyms);
    expect(rows).toEqual([chat('[EMAIL_1], [EMAIL_2], [EMAIL_1]')]);
    expect(log).not.toContain('@mail.com');
  });

  it('refuses lines that are no JSON, unless they are left out', async () => {
    await expect(fixed([chat('One.'), '{"a'])).rejects.toThrow('DATA_JSON');
    const { rows } = await fixed([chat('One.'), '{"a'], undefined, undefined, new Map([[2, 'DATA_JSON']]));
    expect(rows).toEqual([chat('One.')]);
  });

  it.each([undefined, 'pseudonymise'] as const)('is undone by its log (personal data: %s)', async (personal) => {
    const text = fc.constantFrom('One.', 'cafÃ©', 'a@mail.com', 'x\u0000y', 'Call +49 30 1234567', '[EMAIL_7]');
    const row = fc.record({ prompt: text, response: text, more: fc.jsonValue({ maxDepth: 1 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 8 })),
        async (rows, dropped) => {
          const pseudonyms: Pseudonyms | undefined = personal && new Map();
          const drop = new Map(dropped.map((line) => [line, 'DATA_TOXIC' as ErrorCode]));
          const { log } = await fixed(rows, personal, pseudonyms, drop);
          await undoFix(parseFixLog(log, 'log'), { source: path('out.jsonl'), out: path('again.jsonl'), pseudonyms });
          expect(lines('again.jsonl')).toEqual(JSON.parse(JSON.stringify(rows)));
        },
      ),
      { numRuns: 40 },
    );
  });
});
