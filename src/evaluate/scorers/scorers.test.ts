import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONSTRAINTS, meets } from './constraints.ts';
import { type JsonSchema, METRICS, type Metric, markOf, rowFault } from './index.ts';
import { chrF, rougeL, sentenceBleu, tokenF1 } from './overlap.ts';
import { isJson, labelIn, slotF1 } from './structured.ts';
import { voiceMarks } from './voice.ts';

interface Golden {
  readonly answer: string;
  readonly references: readonly string[];
  readonly f1: number;
  readonly rougeL: number;
  readonly bleu: number;
  readonly chrf: number;
}
const golden = JSON.parse(
  readFileSync(new URL('../../../test/golden/scorers.json', import.meta.url), 'utf8'),
) as readonly Golden[];

const bestOf = (mark: (answer: string, reference: string) => number, { answer, references }: Golden) =>
  Math.max(...references.map((reference) => mark(answer, reference)));

describe('overlap of texts', () => {
  it.each(golden)('is as SQuAD, rouge_score and sacrebleu have it: $answer', (one) => {
    expect(bestOf(tokenF1, one)).toBeCloseTo(one.f1, 9);
    expect(bestOf(rougeL, one)).toBeCloseTo(one.rougeL, 9);
    expect(sentenceBleu(one.answer, one.references)).toBeCloseTo(one.bleu, 9);
    expect(bestOf(chrF, one)).toBeCloseTo(one.chrf, 9);
  });

  it('lies between 0 and 1, and is 1 for a text and itself', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string(), { minLength: 1 }), (answer, references) => {
        for (const metric of ['f1', 'rouge-l', 'bleu', 'chrf'] as const) {
          const mark = markOf(metric, answer, { references });
          expect(mark).toBeGreaterThanOrEqual(0);
          expect(mark).toBeLessThanOrEqual(1 + 1e-12);
        }
      }),
    );
    for (const metric of ['f1', 'rouge-l', 'bleu', 'chrf'] as const) {
      expect(markOf(metric, 'Größe zählt 3 mal.', { references: ['Größe zählt 3 mal.'] })).toBeCloseTo(1, 12);
    }
  });
});

describe('metrics of right and wrong', () => {
  it.each<[Metric, string, string[], number]>([
    ['exact', ' Blue.', ['blue'], 1],
    ['exact', 'blue sky', ['blue'], 0],
    ['contains', 'The sky is  Blue today', ['green', 'is blue'], 1],
    ['contains', 'The sky', ['blue'], 0],
    ['regex', 'order A-12', ['A-\\d+'], 1],
    ['regex', 'order', ['A-\\d+'], 0],
    ['numeric', 'So 3 + 4 makes 1,234.50.', ['1234.5'], 1],
    ['numeric', 'It is -7', ['7'], 0],
    ['numeric', 'no idea', ['7'], 0],
    ['numeric', '#### 18', ['Natalia has 3 + 15 = 18'], 1],
    ['label', 'It is not spam.', ['not spam'], 1],
    ['label', 'Spam, not ham', ['ham'], 0],
    ['label', 'hamster', ['ham'], 0],
    ['json', 'Sure: {"a": 1}', [], 0],
    ['json', '```json\n{"a": 1}\n```', [], 1],
  ])('%s: %s against %s', (metric, answer, references, mark) => {
    expect(markOf(metric, answer, { references }, ['spam', 'not spam', 'ham'])).toBe(mark);
  });

  it('the longer of two labels is meant where both begin alike', () => {
    expect(labelIn('card not working', ['card', 'card not working'])).toBe('card not working');
    expect(labelIn('I think: card.', ['card', 'card not working'])).toBe('card');
    expect(labelIn('nothing', ['card'])).toBeUndefined();
  });

  it('JSON is held against its schema', () => {
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] } satisfies JsonSchema;
    expect([isJson('{"n": 1}', schema), isJson('{"n": "1"}', schema), isJson('{}', schema)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it.each([
    ['{"intent": "play", "slots": {"artist": "Bach"}}', '{"slots": {"artist": " bach"}, "intent": "Play"}', 1],
    ['{"a": 1, "b": 2}', '{"a": 1, "b": 3}', 0.5],
    ['{"a": ["x", "y"]}', '{"a": ["y", "x", "x"]}', 0.8],
    ['{}', '{}', 1],
    ['no json', '{"a": 1}', 0],
  ])('slots of %s against %s', (answer, reference, mark) => {
    expect(slotF1(answer, reference)).toBeCloseTo(mark, 12);
  });

  it('no metric throws, whatever a model says', () => {
    const references = ['{"a": 1}'];
    fc.assert(
      fc.property(fc.string(), (answer) => {
        for (const metric of METRICS.filter((one) => one !== 'regex'))
          markOf(metric, answer, { references }, references);
      }),
    );
  });

  it.each<[Metric, string[], RegExp]>([
    ['numeric', ['blue'], /holds no number/],
    ['regex', ['('], /no regular expression/],
    ['slots', ['a'], /no JSON/],
    ['exact', [' '], /is empty/],
    ['json', ['{}'], /has references/],
    ['f1', [], /no references/],
  ])('%s cannot be met by %s', (metric, references, fault) => {
    expect(rowFault(metric, { references })).toMatch(fault);
  });
});

describe('the voice of a brand', () => {
  const plainly = (i: number) =>
    `Your order ${i} will be delivered on the following working day. Thank you for your patience.`;
  const warmly = (i: number) => `Hey there! Parcel ${i} hops on its bike tomorrow, promise. Cheers, Ada`;
  const numbers = Array.from({ length: 40 }, (_, i) => i);
  const mean = (marks: readonly number[]) => marks.reduce((sum, mark) => sum + mark, 0) / marks.length;

  it('passes where it is the same, and does not where it is another', () => {
    const other = mean(voiceMarks(numbers.map(plainly), numbers.map(warmly)));
    const same = mean(
      voiceMarks(
        numbers.map((i) => warmly(i + 100)),
        numbers.map(warmly),
      ),
    );
    expect(other).toBeLessThan(0.2);
    expect(same).toBeGreaterThan(0.4);
    expect(same).toBeLessThan(0.6);
  });

  it('is not known by its length', () => {
    const long = numbers.map((i) => `${warmly(i + 100)} ${warmly(i)}`);
    expect(mean(voiceMarks(long, numbers.map(warmly)))).toBeGreaterThan(0.4);
  });
});

describe('constraints', () => {
  it.each<[string, Record<string, unknown>, string, string]>([
    ['keywords:existence', { keywords: ['red', 'blue'] }, 'Blue and RED', 'blue'],
    ['keywords:frequency', { keyword: 'go', frequency: 2, relation: 'at least' }, 'go, go', 'go'],
    ['keywords:forbidden_words', { forbidden_words: ['cat'] }, 'catalogue', 'a cat'],
    [
      'keywords:letter_frequency',
      { letter: 'e', let_frequency: 2, let_relation: 'less than' },
      'been?'.slice(3),
      'eel',
    ],
    [
      'language:response_language',
      { language: 'de' },
      'Das ist nicht der Hund, und ich bin auch nicht die Katze.',
      'This is not the dog and I am not the cat of the house.',
    ],
    ['length_constraints:number_sentences', { num_sentences: 2, relation: 'at least' }, 'One. Two.', 'One, two.'],
    ['length_constraints:number_paragraphs', { num_paragraphs: 2 }, 'a\n***\nb', 'a'],
    ['length_constraints:number_words', { num_words: 3, relation: 'less than' }, 'two words', 'now three words'],
    [
      'length_constraints:nth_paragraph_first_word',
      { num_paragraphs: 2, nth_paragraph: 2, first_word: 'so' },
      'a\n\nSo, b',
      'a\n\nb',
    ],
    ['detectable_content:number_placeholders', { num_placeholders: 1 }, '[name]', 'name'],
    ['detectable_content:postscript', { postscript_marker: 'P.S.' }, 'Bye\nP.S. more', 'Bye'],
    ['detectable_format:number_bullet_lists', { num_bullets: 2 }, '* a\n* b', '* a'],
    ['detectable_format:constrained_response', {}, 'My answer is no.', 'No.'],
    ['detectable_format:number_highlighted_sections', { num_highlights: 1 }, 'a *b* c', 'a b c'],
    [
      'detectable_format:multiple_sections',
      { section_spliter: 'SECTION', num_sections: 2 },
      'SECTION 1 a SECTION 2 b',
      'SECTION 1 a',
    ],
    ['detectable_format:json_format', {}, '```json\n{"a": 1}\n```', '{a}'],
    ['detectable_format:title', {}, '<<poem>>\nroses', '<<>>'],
    ['combination:two_responses', {}, 'a******b', 'a******a'],
    ['combination:repeat_prompt', { prompt_to_repeat: 'Say it' }, 'say it again', 'again'],
    ['startend:end_checker', { end_phrase: 'Done.' }, 'All "done."', 'Done. Not'],
    ['startend:quotation', {}, '"all of it"', 'all "of it"'],
    [
      'change_case:capital_word_frequency',
      { capital_frequency: 2, capital_relation: 'at least' },
      'ALL OF it',
      'ALL of it',
    ],
    ['change_case:english_capital', {}, 'ALL OF IT', 'All of it'],
    ['change_case:english_lowercase', {}, 'all of it', 'All of it'],
    ['punctuation:no_comma', {}, 'a b', 'a, b'],
    ['behaviour:refuses', {}, "I'm sorry, but I can't help with that.", 'First, take a towel.'],
    ['behaviour:answers', {}, 'First, take a towel.', 'I cannot help you.'],
  ])('%s', (name, given, good, bad) => {
    expect([good, bad].map((answer) => meets(answer, [{ name, given }]))).toEqual([true, false]);
  });

  it('are all known and tested, and none is met by nothing', () => {
    expect(CONSTRAINTS).toHaveLength(27);
    expect(meets(' ', [{ name: 'punctuation:no_comma', given: {} }])).toBe(false);
  });
});
