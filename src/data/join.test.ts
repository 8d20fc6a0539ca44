import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFindingLog } from './findings.ts';
import { joinMessages } from './join.ts';
import { stripMail } from './strip-mail.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-join-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const options = {
  group: 'ticket',
  role: 'author',
  authors: { agent: 'assistant', customer: 'user', action: 'drop' },
  strip: [],
} as const;

async function joined(csv: string, more: object = {}) {
  const file = join(folder, 'tickets.csv');
  writeFileSync(file, csv);
  const log = createFindingLog();
  const { conversations, counts } = await joinMessages([file], { ...options, ...more }, log);
  const texts = conversations.map(({ messages }) => messages.map((m) => `${m.role[0]}: ${m.content}`));
  return { texts, counts, findings: log.groups() };
}

describe('joining messages to conversations', () => {
  test('messages of one author become one, conversations without an answer go, and all of it is counted', async () => {
    const csv = [
      'ticket,author,text',
      '1,customer,Hello',
      '2,customer,Anybody there?',
      '1,customer,My bike is broken',
      '1,action,account pulled up',
      '1,agent,Bring it in',
      '1,customer,',
      '1,customer,Thanks',
      '3,agent,Good morning',
    ].join('\n');
    const { texts, counts, findings } = await joined(csv);
    expect(findings).toEqual([]);
    expect(texts).toEqual([['u: Hello\nMy bike is broken', 'a: Bring it in']]);
    expect(counts).toEqual({
      ...{ messages: 8, leftOut: 1, empty: 1, joined: 1, trailing: 1 },
      ...{ conversations: 3, withoutAnswer: 1, withoutQuestion: 1, quotes: 0, signatures: 0 },
    });
  });

  test.each([
    ['numbers', ['10', '9', '11'], 'B\nA\nC'],
    ['dates', ['2024-03-01T10:00:00Z', '2024-03-01T09:00:00+02:00', '2024-03-02'], 'B\nA\nC'],
    ['texts', ['b', 'a', 'c'], 'B\nA\nC'],
  ])('order by %s', async (_, [a, b, c], expected) => {
    const csv = `ticket,author,text,at\n1,agent,done,${c}\n1,customer,A,${a}\n1,customer,B,${b}\n1,customer,C,${c}\n1,agent,ok,${c}`;
    const { texts } = await joined(csv.replace(`1,agent,done,${c}\n`, ''), { order: 'at' });
    expect(texts).toEqual([[`u: ${expected}`, 'a: ok']]);
  });

  test('an unknown author is a finding with the options that help, a missing column an error', async () => {
    const { findings } = await joined('ticket,author,text\n1,bot 7,hi\n');
    expect(findings).toMatchObject([
      { code: 'DATA_ROLE_UNKNOWN', fix: expect.stringContaining('--map "bot 7"=assistant') },
    ]);
    await expect(joined('ticket,author,text\n1,agent,x\n', { order: 'at' })).rejects.toMatchObject({
      code: 'DATA_COLUMN_MISSING',
      details: { fix: expect.stringContaining('--order COLUMN') },
    });
  });
});

describe('stripping mail', () => {
  const strip = (text: string) => stripMail(text, ['quotes', 'signatures']).text;
  test.each([
    ['quoted lines', 'Yes.\n> Did it work?\n> Ann', 'Yes.'],
    ['what an introduction brings', 'Yes.\n\nOn Mon, 3 Mar 2024 at 10:00, Ann <a@b.example> wrote:\n> Did it?', 'Yes.'],
    ['an introduction in German', 'Ja.\n\nAm 3. März 2024 um 10:00 schrieb Ann:\nGeht es?', 'Ja.'],
    ['an introduction over two lines', 'Yes.\nOn Mon, 3 Mar 2024 at 10:00, Ann\n<a@b.example> wrote:\nDid it?', 'Yes.'],
    ["Outlook's head", 'Yes.\n\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Bike\n\nDid it?', 'Yes.'],
    ['a marked signature', 'Yes.\n-- \nAnn\nACME Inc.', 'Yes.'],
    ['a closing', 'Yes.\n\nBest regards,\nAnn Miller\nSupport', 'Yes.'],
    ['a closing in German', 'Ja.\n\nMit freundlichen Grüßen\nAnn', 'Ja.'],
    ['a phone', 'Yes.\n\nSent from my iPhone', 'Yes.'],
    ['nothing of a text', 'From the start it was broken.\nOn Monday I wrote to you: no answer.', undefined],
    [
      'nothing after thanks within',
      `Thanks,\n${'That is a long explanation of what went wrong. '.repeat(3)}`,
      undefined,
    ],
  ])('%s', (_, text, expected) => {
    expect(strip(text)).toBe(expected ?? text);
  });

  test('only what is asked for', () => {
    expect(stripMail('Yes.\n> no\n-- \nAnn', ['signatures'])).toEqual({
      text: 'Yes.\n> no',
      quotes: false,
      signatures: true,
    });
    expect(stripMail('Yes.\n> no\n-- \nAnn', ['quotes'])).toMatchObject({ text: 'Yes.\n-- \nAnn', quotes: true });
  });
});
