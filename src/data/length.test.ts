import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import { type Example, IGNORE, supervisedTokens } from '../text/example.ts';
import { type LengthOptions, prepareExamples, type Render } from './length.ts';
import type { Row } from './row.ts';

const bytes = (text: string) => [...text].map((c) => c.codePointAt(0)!);
const example = (parts: readonly (readonly [text: string, trained: boolean])[]): Example => ({
  ids: Int32Array.from(parts.flatMap(([t]) => bytes(t))),
  labels: Int32Array.from(parts.flatMap(([t, trained]) => bytes(t).map((b) => (trained ? b : IGNORE)))),
});

/** One token for each character; a message is its first letter, its content and a full stop. */
const onePass: Render = (row) => {
  if (row.kind === 'messages') {
    return [example(row.messages.map((m) => [`${m.role[0]}${m.content}.`, m.role === 'assistant' && m.weight !== 0]))];
  }
  if (row.kind === 'prompt')
    return [
      example([
        [row.prompt, false],
        [row.completion, true],
      ]),
    ];
  if (row.kind === 'text') return [example([[row.text, true]])];
  return [{ ids: Int32Array.from(row.ids), labels: Int32Array.from(row.labels) }];
};
/** An example for each answer, as for templates that rewrite history. */
const perTurn: Render = (row) => {
  if (row.kind !== 'messages') return onePass(row);
  return row.messages.flatMap((m, i) => {
    if (m.role !== 'assistant') return [];
    return [example(row.messages.slice(0, i + 1).map((n, j) => [`${n.role[0]}${n.content}.`, i === j]))];
  });
};

const source = { file: 'f', line: 1 };
const chat = (...contents: string[]): Row => ({
  source,
  kind: 'messages',
  messages: contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
});
const text = (t: string): Row => ({ source, kind: 'text', text: t });
const shown = (e: Example) => String.fromCodePoint(...e.ids);
const prepare = (
  rows: readonly Row[],
  maxLength: number | undefined,
  options: Partial<LengthOptions> = {},
  render = onePass,
) => prepareExamples(rows, render, { maxLength, onLong: 'trim-context', ...options });

describe('the automatic length', () => {
  const texts = (lengths: readonly number[]) => lengths.map((n) => text('x'.repeat(n)));
  const upTo = (n: number) => texts(Array.from({ length: n }, (_, i) => i + 2));

  test('is the 99.5th percentile, never below the longest of fewer than 200 rows', () => {
    expect(prepare(upTo(199), undefined).maxLength).toBe(200);
    expect(prepare(upTo(1000), undefined).maxLength).toBe(996);
  });

  test('stays within the limit, and says so', () => {
    expect(prepare(upTo(100), undefined, { limit: 50 })).toMatchObject({
      maxLength: 50,
      lengthOrigin: expect.stringContaining('would want 101'),
    });
  });

  test('is never below a pre-tokenised row', () => {
    const ids = Array.from({ length: 5000 }, (_, i) => i);
    expect(prepare([...upTo(1000), { source, kind: 'ids', ids, labels: ids }], undefined).maxLength).toBe(5000);
  });
});

describe('long rows', () => {
  test('lose their oldest turns, keep the system prompt and the last answer whole', () => {
    const messages = [
      { role: 'system' as const, content: 'S' },
      ...(chat('aaaa', 'bbbb', 'cccc', 'dddd') as Row & { kind: 'messages' }).messages,
    ];
    const { examples, trimmed, findings } = prepare([{ source, kind: 'messages', messages }], 16, {
      allow: ['DATA_ANSWERS_CUT'],
    });
    expect(examples.map((e) => shown(e.example))).toEqual(['sS.ucccc.adddd.']);
    expect(trimmed).toEqual([source]);
    expect(findings.map((g) => g.code)).toContain('DATA_ROW_LONG');
  });

  test('are left out and listed when even the last turn does not fit', () => {
    const { examples, dropped } = prepare([chat('aaaa', 'bbbb'), chat('a', 'b')], 8);
    expect(examples.map((e) => shown(e.example))).toEqual(['ua.ab.']);
    expect(dropped).toEqual([source]);
  });

  test('that were rendered turn by turn keep, for each answer, the longest context that fits', () => {
    const { examples } = prepare([chat('aa', 'bb', 'cc', 'dd', 'ee', 'ff')], 16, {}, perTurn);
    expect(examples.map((e) => shown(e.example))).toEqual(['uaa.abb.', 'uaa.abb.ucc.add.', 'ucc.add.uee.aff.']);
  });

  test('drop leaves them out, error refuses them', () => {
    const rows = [chat('aaaa', 'bbbb', 'c', 'd'), chat('a', 'b')];
    const dropping = prepare(rows, 8, { onLong: 'drop' });
    expect(dropping.examples).toHaveLength(1);
    expect(dropping.findings.map((g) => [g.code, g.severity])).toEqual([['DATA_ROW_LONG', 'warning']]);
    expect(prepare(rows, 8, { onLong: 'error' }).findings).toMatchObject([
      { code: 'DATA_TOO_LONG', severity: 'error', count: 1 },
    ]);
  });

  test('of text become windows, and what is classified is cut at its end', () => {
    const text: Row = { source, kind: 'text', text: 'abcdefgh' };
    const ids = Int32Array.from(text.text, (c) => c.charCodeAt(0));
    const windowed = prepareExamples([text], () => [{ ids, labels: ids }], { maxLength: 5, onLong: 'trim-context' });
    expect(windowed.examples.map(({ example }) => example.ids.length)).toEqual([5, 4]);
    const labelled: Row = { ...text, labelled: { kind: 'single', names: ['x'] } };
    const example = { ids, labels: new Int32Array(8).fill(IGNORE), classes: [3] };
    const cut = prepareExamples([labelled], () => [example], { maxLength: 5, onLong: 'trim-context' });
    expect(cut.examples.map(({ example: { ids, classes } }) => [[...ids], classes])).toEqual([
      [[97, 98, 99, 100, 101], [3]],
    ]);
    expect(cut.findings[0]).toMatchObject({
      code: 'DATA_ROW_LONG',
      examples: [{ message: expect.stringContaining('cut at its end') }],
    });
  });

  test('that are pre-tokenised are an error, whatever was chosen', () => {
    const row: Row = { source, kind: 'ids', ids: [1, 2, 3], labels: [1, 2, 3] };
    for (const onLong of ['trim-context', 'drop', 'error'] as const) {
      expect(prepare([row], 2, { onLong }).findings[0]).toMatchObject({ code: 'DATA_TOO_LONG', severity: 'error' });
    }
  });

  test('more than 5 % of answers lost is an error', () => {
    const short = (n: number) => Array.from({ length: n }, () => chat('a', 'b'));
    const codes = (n: number) => prepare([chat('aaaaaaaa', 'b'), ...short(n)], 8).findings.map((g) => g.code);
    expect(codes(19)).toEqual(['DATA_ROW_LONG']);
    expect(codes(18)).toEqual(['DATA_ANSWERS_CUT', 'DATA_ROW_LONG']);
  });

  test('nothing left is an error', () => {
    expect(prepare([chat('aaaa', 'bbbb')], 4, { onLong: 'drop' }).findings[0]).toMatchObject({
      code: 'DATA_NOTHING_SUPERVISED',
      severity: 'error',
    });
  });

  test('of text become windows in which each token is predicted once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 60 }), fc.integer({ min: 2, max: 20 }), (n, maxLength) => {
        const row = text(String.fromCodePoint(...Array.from({ length: n }, (_, i) => 0x100 + i)));
        const { examples } = prepare([row], maxLength);
        const predicted = examples.flatMap(({ example: e }) => [...e.labels.subarray(1)]);
        expect(predicted).toEqual(Array.from({ length: n - 1 }, (_, i) => 0x101 + i));
        expect(examples.every(({ example: e }) => e.ids.length <= maxLength)).toBe(true);
      }),
    );
  });

  test('keep whole answers only', () => {
    const contents = fc.array(fc.string({ unit: fc.constantFrom('x', 'y'), minLength: 1, maxLength: 8 }), {
      minLength: 2,
      maxLength: 8,
    });
    fc.assert(
      fc.property(contents, fc.integer({ min: 4, max: 60 }), fc.boolean(), (parts, maxLength, single) => {
        const row = chat(...parts.slice(0, parts.length & ~1));
        const { examples } = prepare([row], maxLength, {}, single ? onePass : perTurn);
        const answers = (row as Row & { kind: 'messages' }).messages
          .filter((m) => m.role === 'assistant')
          .map((m) => `a${m.content}.`);
        for (const { example: e } of examples) {
          expect(e.ids.length).toBeLessThanOrEqual(maxLength);
          const trained = String.fromCodePoint(...[...e.labels].filter((l) => l !== IGNORE));
          expect(answers.some((_, i) => answers.slice(i).join('') === trained) || answers.includes(trained)).toBe(true);
        }
      }),
    );
  });
});

describe('findings', () => {
  test('a fault of the template is one of the row, and the others still come', () => {
    const render: Render = (row) => {
      if (row.source.line === 2)
        throw new TunesmithError('DATA_ORDER', { message: 'the template says no.', fix: 'do this' });
      return onePass(row);
    };
    const rows = [1, 2, 3].map((line) => ({ ...chat('a', 'b'), source: { file: 'f', line } }));
    const { examples, findings } = prepare(rows, undefined, {}, render);
    expect(examples).toHaveLength(2);
    expect(findings).toMatchObject([
      { code: 'DATA_ORDER', examples: [{ line: 2, message: 'the template says no.', fix: 'do this' }] },
    ]);
  });

  test('our own faults are not caught', () => {
    const render: Render = () => {
      throw new Error('internal: oops');
    };
    expect(() => prepare([chat('a', 'b')], undefined, {}, render)).toThrow('internal: oops');
  });

  test('a row without a trained token is an error', () => {
    const row: Row = {
      source,
      kind: 'messages',
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b', weight: 0 },
      ],
    };
    const { examples, findings } = prepare([row, chat('a', 'b')], undefined);
    expect(findings).toMatchObject([{ code: 'DATA_NOTHING_SUPERVISED', severity: 'error', count: 1 }]);
    expect(examples.every((e) => supervisedTokens(e.example) > 0)).toBe(true);
  });
});
