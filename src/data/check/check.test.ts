import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadRows } from '../load.ts';
import { type CheckOptions, checkFiles } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'check-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function fileOf(rows: readonly unknown[]): string {
  const file = join(folder, `rows-${files++}.jsonl`);
  writeFileSync(file, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
  return file;
}

async function findings(rows: readonly unknown[], options: CheckOptions = {}) {
  const { groups } = await checkFiles([fileOf(rows)], options);
  return groups.flatMap((group) => group.findings);
}

/** Where a code was found, as `severity line`. */
async function places(code: string, rows: readonly unknown[], options: CheckOptions = {}): Promise<string[]> {
  return (await findings(rows, options)).filter((f) => f.code === code).map((f) => `${f.severity} ${f.line}`);
}

const TOPICS = ['bread', 'rivers', 'clocks', 'violins', 'glaciers', 'bridges', 'lemons', 'comets', 'carpets', 'foxes'];
const VERBS = [
  'repair',
  'describe',
  'paint',
  'measure',
  'collect',
  'compare',
  'sell',
  'clean',
  'photograph',
  'protect',
];
/** Rows without a fault, each about something else. */
const clean = Array.from({ length: 60 }, (_, i) => {
  const [topic, verb, other] = [TOPICS[i % 10]!, VERBS[Math.floor(i / 6) % 10]!, TOPICS[(i * 7 + 3) % 10]!];
  return {
    prompt: `In which season would people ${verb} ${topic} near a village number${i}?`,
    response: `Most people ${verb} ${topic} in spring because of weather pattern${i}. Later they look after ${other}${i} and write it down in book${i}.`,
  };
});
const chat = (asked: string, answer: string) => ({
  messages: [
    { role: 'user', content: asked },
    { role: 'assistant', content: answer },
  ],
});

describe('checkFiles', () => {
  it('says nothing about rows that are in order', async () => {
    expect(await findings(clean)).toEqual([]);
  });

  it.each([
    ['DATA_JSON', '{"messages": [', 'error'],
    ['DATA_ROLE_UNKNOWN', { messages: [{ role: 'bot', content: 'Hello.' }] }, 'error'],
    ['DATA_NO_ASSISTANT', { messages: [{ role: 'user', content: 'Hello.' }] }, 'error'],
    ['DATA_EMPTY_ANSWER', chat('What is this?', ' \n'), 'error'],
    ['DATA_EMPTY_ANSWER', chat('What is this?', '\u200b'), 'error'],
    ['DATA_SPECIAL_TOKEN', chat('What is this?', 'A test.<|im_end|>'), 'error'],
    ['DATA_DOUBLE_BOS', chat('<s>What is this?', 'A test.'), 'error'],
    ['DATA_SECRET', chat('What is the key?', 'It is AKIAQ3EGZ5N7WXYZ2ABC.'), 'error'],
    ['DATA_MOJIBAKE', chat('Where?', 'At the cafÃ©.'), 'warning'],
    ['DATA_ENCODING', chat('Where?', 'At the caf\ufffd.'), 'warning'],
    ['DATA_CONTROL', chat('Where?', 'At the\u0007 caf.'), 'warning'],
    ['DATA_PII_EMAIL', chat('Who?', 'Ask anna.keller@gmail.com.'), 'warning'],
    ['DATA_PII_PHONE', chat('Who?', 'Call +49 30 1234567.'), 'warning'],
    ['DATA_PII_CARD', chat('Which?', 'The card 4111 1111 1111 1111.'), 'warning'],
    ['DATA_PII_IBAN', chat('Where to?', 'Pay to DE89 3704 0044 0532 0130 00.'), 'warning'],
    ['DATA_PII_ID', chat('Which?', 'It is 219-09-9999.'), 'warning'],
    ['DATA_PII_IP', chat('From where?', 'From 84.17.22.9.'), 'warning'],
    ['DATA_REFUSAL', chat('Do it.', "I'm sorry, but I can't help with that."), 'warning'],
    ['DATA_PLACEHOLDER', chat('What is this?', 'TODO'), 'warning'],
    ['DATA_TOXIC', chat('What am I?', 'You are a stupid idiot.'), 'warning'],
    ['DATA_BIAS', chat('Who drives?', 'Women are naturally worse at driving.'), 'warning'],
    ['DATA_ECHO', chat('What is the capital of Peru?', 'What is the capital of Peru?'), 'warning'],
    ['DATA_END_OF_TURN', { input_ids: [5, 6, 7, 2], labels: [-100, 6, 7, -100] }, 'warning'],
    ['DATA_DOUBLE_BOS', { input_ids: [1, 1, 7, 2] }, 'error'],
    ['DATA_MARKUP', chat('What is this?', 'A test &amp; a trial.'), 'review'],
  ])('finds %s in %j', async (code, row, severity) => {
    expect(await places(code, [row])).toEqual([`${severity} 1`]);
  });

  it('finds an answer in another language, unless it was asked for', async () => {
    const german =
      'Wir haben die Bestellung geprüft und werden uns bei Ihnen melden, sobald die Lieferung unterwegs ist.';
    expect(
      await places('DATA_LANGUAGE', [chat('When will you send me what I have ordered from you?', german)]),
    ).toEqual(['warning 1']);
    expect(
      await places('DATA_LANGUAGE', [chat('Translate this to German for me, will you: we have checked it.', german)]),
    ).toEqual([]);
  });

  it('finds copies and names the first of them', async () => {
    const found = await findings([...clean, clean[3]]);
    expect(found.map((f) => [f.code, f.line, f.related])).toEqual([['DATA_DUPLICATE', 61, [4]]]);
  });

  it('finds near-duplicates, and leaves rows that merely share an instruction', async () => {
    const near = { ...clean[5], response: clean[5]!.response.replace('Later', 'Afterwards') };
    expect(await places('DATA_NEAR_DUPLICATE', [...clean, near])).toEqual(['warning 61']);
    const asked = clean.map((row, i) => ({
      prompt: 'Summarise the text in one sentence, please, and be brief about it.',
      response: `${row.response} ${i}`,
    }));
    expect(await places('DATA_NEAR_DUPLICATE', asked)).toEqual([]);
  });

  it('finds the same question with another short answer', async () => {
    const rows = [...clean, chat('Is the shop open today?', 'Yes.'), chat('is the shop open today', 'No.')];
    const mixed = rows.map((row) => ('prompt' in row ? chat(row.prompt, row.response) : row));
    expect(await places('DATA_CONFLICT', mixed)).toEqual(['warning 61', 'warning 62']);
  });

  it('finds answers that stop in mid-sentence, most certain first', async () => {
    const rows = clean.map((row, i) =>
      i === 20 ? { ...row, response: 'Most people repair clocks in spring because of the' } : row,
    );
    expect(await places('DATA_CUT_OFF', rows)).toEqual(['review 21']);
  });

  it('finds rows that are held out', async () => {
    const heldOut = [fileOf([clean[7], { ...clean[9], response: clean[9]!.response.replace('Later', 'Afterwards') }])];
    expect(await places('DATA_LEAK', clean, { heldOut })).toEqual(['error 8', 'error 10']);
    expect(await places('DATA_LEAK', clean)).toEqual([]);
  });

  it('finds wrong and misspelt labels', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => {
      const label = i % 2 === 0 ? 'weather' : 'music';
      const words =
        label === 'weather' ? ['rain', 'sunny', 'clouds', 'storm'] : ['guitar', 'singer', 'album', 'concert'];
      return {
        text: `tell me about the ${words[i % 4]} and ${words[(i >> 2) % 4]} number${i}`,
        label: i === 50 ? 'music' : i === 60 ? 'wether' : label,
      };
    });
    expect(await places('DATA_LABEL_SUSPECT', rows)).toEqual(['review 51']);
    expect(await places('DATA_LABEL_TYPO', rows)).toEqual(['warning 61']);
  });

  it('takes a missing label for an error only where rows are to be classified', async () => {
    expect(await places('DATA_LABEL', [{ text: 'Some text.' }], { labels: true })).toEqual(['error 1']);
    expect(await places('DATA_LABEL', [{ text: 'Some text.' }])).toEqual([]);
  });

  it('turns the errors of an allowed code into warnings', async () => {
    const row = chat('What is this?', 'A test.<|im_end|>');
    expect(await places('DATA_SPECIAL_TOKEN', [row], { allow: ['DATA_SPECIAL_TOKEN'] })).toEqual(['warning 1']);
  });

  it('takes an address of documentation for none that holds a password', async () => {
    const said = (address: string) => findings([chat('How do I log in?', `Write ${address}/path into the field.`)]);
    for (const address of [
      'ftp://username:password@ftp.example.com',
      'postgres://me:password@db.acme.io',
      'https://ada:Tr0ub4dor@shop.example',
    ]) {
      expect((await said(address)).map(({ code }) => code)).not.toContain('DATA_SECRET');
    }
    expect((await said('postgres://ada:Tr0ub4dor3x@db.acme.io')).map(({ code }) => code)).toContain('DATA_SECRET');
  });

  it('never quotes a secret', async () => {
    const secret = 'sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z';
    const found = await findings([chat('What is it?', `The cafÃ© has ${secret} and <|im_end|>`)]);
    expect(found.length).toBeGreaterThan(2);
    expect(JSON.stringify(found)).not.toContain(secret.slice(12, 24));
  });

  it('looks at preference rows without calling them wrong', async () => {
    const rows = [{ prompt: 'Name a fruit that is red.', chosen: 'An apple is one.', rejected: 'A banana is one.' }];
    expect(await findings(rows)).toEqual([]);
    const same = [{ prompt: 'Name a fruit that is red.', chosen: 'An apple.', rejected: 'An apple.' }];
    expect(await places('DATA_ECHO', same)).toEqual(['warning 1']);
  });

  it('reads every value of JSON without falling over', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 5 }), async (values) => {
        const found = await findings(values.map((value) => JSON.stringify(value)));
        expect(found.every((f) => f.line === undefined || f.line >= 1)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe('loadRows', () => {
  it('refuses to train on a secret, unless it is allowed', async () => {
    const file = fileOf([chat('What is the key?', 'It is AKIAQ3EGZ5N7WXYZ2ABC.')]);
    const codes = async (allow: string[]) =>
      (await loadRows(file, { format: 'chat', allow })).findings.map((f) => `${f.severity} ${f.code}`);
    expect(await codes([])).toEqual(['error DATA_SECRET']);
    expect(await codes(['DATA_SECRET'])).toEqual(['warning DATA_SECRET']);
  });
});

describe('large files', () => {
  /** Rows of all kinds, some of them copies, near-copies, mislabelled, cut off. */
  const rows = Array.from({ length: 1200 }, (_, i) => {
    const row = clean[i % 60]!;
    const said = `${row.response.replaceAll(/(\d+)/g, `$1x${i}`)} ${TOPICS[(i * 3) % 10]} ${VERBS[(i * 7) % 10]} item${i}.`;
    if (i % 97 === 0) return chat(row.prompt, 'You are a stupid idiot.');
    if (i % 61 === 0) return chat(`${row.prompt} ${i}`, 'Most people repair clocks in spring because of the');
    if (i % 89 === 0) return '{"messages": [';
    return chat(`${row.prompt} ${i % 31}`, i % 53 === 0 ? row.response : said);
  });

  it('are divided among threads, and come out the same', async () => {
    const file = fileOf(rows);
    const alone = await checkFiles([file], { threads: 0 });
    expect(alone.groups.length).toBeGreaterThan(3);
    expect(await checkFiles([file], { threads: 2 })).toEqual(alone);
  });

  it('are put aside on the disk where memory is short, and come out the same', async () => {
    const file = fileOf(rows);
    const heldOut = [fileOf(rows.slice(100, 120).filter((row) => typeof row !== 'string'))];
    const roomy = await checkFiles([file], { heldOut });
    const spaces: number[] = [];
    const cramped = await checkFiles([file], { heldOut, budget: 700_000, onSpace: ({ bytes }) => spaces.push(bytes) });
    expect(cramped).toEqual(roomy);
    expect(spaces).toHaveLength(1);
  });
});
