import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Called, cli, type Line, temporaryFolder } from '../support/cli.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const out = path.join(folder, 'runs');
const file = (name: string) => path.join(folder, name);
const model = writeTinyChatModel(file('model'));

function data(name: string, rows: readonly unknown[]): string {
  writeFileSync(file(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file(name);
}

/** Texts that a tiny random model can tell apart: their words begin with other letters. */
const WORDS = {
  fruit: ['apple', 'avocado', 'apricot', 'acai'],
  tool: ['zither', 'zip', 'zinc', 'zax'],
  animal: ['monkey', 'mouse', 'moth', 'mole'],
};
type Kind = keyof typeof WORDS;
const KINDS = Object.keys(WORDS) as Kind[];

function textOf(kind: Kind, i: number): string {
  const word = (n: number) => WORDS[kind][(i * 7 + n * (1 + (i >> 2))) % 4]!;
  return `${i} ${word(0)} ${word(1)} ${word(2)}`;
}

const rows = Array.from({ length: 120 }, (_, i) => ({ text: textOf(KINDS[i % 3]!, i), label: KINDS[i % 3]! }));
const several = Array.from({ length: 120 }, (_, i) => {
  const labels = KINDS.filter((_, k) => (i >> k) % 2 === 1);
  return { text: `${i} ${labels.map((kind) => textOf(kind, i)).join(' ')} end`, labels };
});

const common = ['--method', 'classify', '--out', out, '--threads', 1, '--seed', 0];
const train = (...args: (string | number)[]): Promise<Called> => cli(['train', '--model', model, ...common, ...args]);
const figuresOf = ({ lines }: Called) => lines.find(({ type }) => type === 'classification') as Line & Figures;

interface Figures {
  readonly accuracy: number;
  readonly macroF1: number;
  readonly confusion: number[][];
  readonly classes: { label: string; threshold: number | null; support: number }[];
  readonly baseline: { accuracy: number; macroF1: number };
  readonly calibrated: { temperature: number; precision: number };
}

describe('a classifier of one label', () => {
  const trained = data('train.jsonl', rows);
  const run = path.join(out, 'single');
  const settings = ['--data', trained, '--valid', 0.4, '--epochs', 8, '--batch', 8, '--lr', 5e-3] as const;
  const called = train(...settings, '--name', 'single');

  test('learns, and reports its figures beside those of the majority class', async () => {
    const { exit, stderr } = await called;
    expect(exit, stderr).toBe(0);
    const figures = figuresOf(await called);
    expect(figures.accuracy).toBeGreaterThan(0.9);
    expect(figures.macroF1).toBeGreaterThan(0.9);
    expect(figures.baseline.accuracy).toBeLessThan(0.6);
    expect(figures.classes.map(({ label }) => label)).toEqual(['animal', 'fruit', 'tool']);
    expect(figures.confusion.flat().reduce((a, b) => a + b, 0)).toBe(
      figures.classes.reduce((n, c) => n + c.support, 0),
    );
    expect(figures.calibrated.precision).toBe(0.9);
  });

  test('leaves a PEFT folder with its head, its labels and what was calibrated', async () => {
    await called;
    const config = JSON.parse(readFileSync(path.join(run, 'best', 'adapter_config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: ['score'] });
    const classifier = JSON.parse(readFileSync(path.join(run, 'best', 'classifier.json'), 'utf8')) as object;
    expect(classifier).toMatchObject({ version: 2, kind: 'single', labels: ['animal', 'fruit', 'tool'] });
  });

  test('labels a file, goes on where it was cut, and refuses to mix', async () => {
    await called;
    const held = data(
      'held.jsonl',
      rows.map(({ text, label }) => ({ text: `${text} x`, label })),
    );
    const labelled = file('labelled.jsonl');
    const first = await cli(['classify', run, '--data', held, '--out', labelled, '--threads', 1]);
    expect(first.exit, first.stderr).toBe(0);
    expect(figuresOf(first).accuracy).toBeGreaterThan(0.8);
    const whole = readFileSync(labelled, 'utf8');
    const lines = whole
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line & { probabilities: Record<string, number> });
    expect(lines).toHaveLength(120);
    for (const { probabilities } of lines)
      expect(Object.values(probabilities).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
    truncateSync(labelled, whole.length - 20);
    const again = await cli(['classify', run, '--data', held, '--out', labelled, '--threads', 1]);
    expect(again.stderr).toContain('holds 64 rows already');
    expect(readFileSync(labelled, 'utf8')).toBe(whole);
    const other = await cli(['classify', run, '--data', trained, '--out', labelled, '--threads', 1]);
    expect(other.exit).toBe(2);
    expect(other.stderr).toContain('GENERATE_OUT_DIFFERS');
  });

  test('labels texts of the command line', async () => {
    await called;
    const { exit, lines } = await cli([
      'classify',
      run,
      '--text',
      '7 apple acai apple',
      '--text',
      '9 zip zax zinc',
      '--threads',
      1,
    ]);
    expect(exit).toBe(0);
    expect(lines.map(({ labels, noneOfThese }) => (noneOfThese ? 'none' : labels))).toEqual([['fruit'], ['tool']]);
  });

  test('takes text of other letters for none of these, and few rows like those that it was trained on', async () => {
    await called;
    const odd = Array.from({ length: 40 }, (_, i) => {
      return { text: `${'#?!%=+*'.slice(i % 5)} ${'QWRTX'.repeat(1 + (i % 4))} ${i * 7919}` };
    });
    const like = rows.slice(0, 40).map(({ text }) => ({ text: `${text} x` }));
    const flagged = async (name: string, some: readonly unknown[]) => {
      const args = [
        'classify',
        run,
        '--data',
        data(`${name}.jsonl`, some),
        '--out',
        file(`${name}.out`),
        '--threads',
        1,
      ];
      const { lines } = await cli(args);
      return lines.filter(({ noneOfThese }) => noneOfThese === true).length / some.length;
    };
    expect(await flagged('odd', odd)).toBeGreaterThan(0.8);
    expect(await flagged('like', like)).toBeLessThan(0.2);
  });

  test('gives the same when it is interrupted and resumed', async () => {
    const straight = await called;
    const stop = new AbortController();
    const half = cli(['train', '--model', model, ...common, ...settings, '--name', 'cut'], stop.signal);
    const waiting = setInterval(() => {
      if (existsSync(path.join(out, 'cut', 'checkpoints', 'step-000008'))) stop.abort();
    }, 5);
    await half;
    clearInterval(waiting);
    const resumed = await cli(['train', '--resume', path.join(out, 'cut')]);
    expect(resumed.exit, resumed.stderr).toBe(0);
    expect(figuresOf(resumed)).toEqual(figuresOf(straight));
    const weights = (name: string) => readFileSync(path.join(out, name, 'last', 'adapter_model.safetensors'));
    expect(weights('cut').equals(weights('single'))).toBe(true);
  });

  test('writes no text and is scored by no loss on tokens', async () => {
    await called;
    for (const args of [
      ['generate', run, '--prompt', 'Hello'],
      ['score', run, '--data', trained],
    ]) {
      const { exit, stderr } = await cli([...args, '--threads', 1]);
      expect(exit).toBe(2);
      expect(stderr).toContain('CLASSIFIER_USE');
    }
  });

  test('options change the outcome', async () => {
    const skewed = data(
      'skewed.jsonl',
      rows.filter(({ label }, i) => label === 'fruit' || i % 4 === 0),
    );
    const loss = async (...args: (string | number)[]) => {
      const { lines, stderr } = await train('--data', skewed, '--steps', 2, '--valid', 0.3, ...args);
      return lines.find(({ type, step }) => type === 'step' && step === 2)?.loss ?? stderr;
    };
    const [none, balanced] = [await loss(), await loss('--class-weights', 'balanced')];
    expect(none).toEqual(expect.any(Number));
    expect(balanced).not.toEqual(none);
    const strict = await train('--data', trained, '--valid', 0.4, '--steps', 6, '--precision', 0.99);
    const loose = await train('--data', trained, '--valid', 0.4, '--steps', 6, '--precision', 0.3);
    const thresholds = (one: Called) => figuresOf(one).classes.map(({ threshold }) => threshold);
    expect(thresholds(strict)).not.toEqual(thresholds(loose));
  });

  test('conversations go through the chat template', async () => {
    const talks = rows.map(({ text, label }) => ({ messages: [{ role: 'user', content: text }], label }));
    const { exit, stderr, lines } = await train(
      '--data',
      data('talks.jsonl', talks),
      '--steps',
      3,
      '--system',
      'Name it.',
    );
    expect(exit, stderr).toBe(0);
    expect(lines.some(({ type }) => type === 'classification')).toBe(true);
  });
});

test('a classifier of several labels, or none', async () => {
  const called = await train(
    '--data',
    data('several.jsonl', several),
    '--valid',
    0.4,
    '--epochs',
    12,
    '--batch',
    8,
    '--lr',
    5e-3,
    '--name',
    'multi',
  );
  expect(called.exit, called.stderr).toBe(0);
  const { macroF1, baseline, confusion } = figuresOf(called);
  expect(macroF1).toBeGreaterThan(baseline.macroF1);
  expect(macroF1).toBeGreaterThan(0.7);
  expect(confusion).toHaveLength(3);
  const { lines } = await cli([
    'classify',
    path.join(out, 'multi'),
    '--text',
    '5 apple zip acai zax end',
    '--threads',
    1,
  ]);
  expect(Object.keys(lines[0]!.probabilities as object)).toEqual(['animal', 'fruit', 'tool']);
});

test('full weights train with the head, and leave a folder that is a classifier', async () => {
  const args = ['--weights', 'full', '--valid', 0.4, '--epochs', 4, '--batch', 8, '--lr', 5e-3, '--name', 'full'];
  const untied = writeTinyChatModel(file('untied'), { tie_word_embeddings: false });
  for (const from of [model, untied]) {
    rmSync(path.join(out, 'full'), { recursive: true, force: true });
    const called = await cli(['train', ...common, '--data', data('full.jsonl', rows), ...args, '--model', from]);
    expect(called.exit, called.stderr).toBe(0);
    expect(figuresOf(called).accuracy).toBeGreaterThan(0.9);
    const best = path.join(out, 'full', 'best');
    const config = JSON.parse(readFileSync(path.join(best, 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({
      architectures: ['LlamaForSequenceClassification'],
      id2label: { 0: 'animal', 1: 'fruit', 2: 'tool' },
      problem_type: 'single_label_classification',
    });
    const { lines } = await cli(['classify', path.join(out, 'full'), '--text', '7 apple acai apple', '--threads', 1]);
    expect(lines[0]).toMatchObject({ labels: ['fruit'] });
    const asText = await cli(['generate', best, '--prompt', 'Hello', '--threads', 1]);
    expect(asText.stderr).toContain('CLASSIFIER_USE');
  }
});

describe('bad input', () => {
  const refused = async (called: Promise<Called>, code: string, place = '') => {
    const { exit, stderr } = await called;
    expect(exit, stderr).toBe(2);
    expect(stderr).toContain(`${code}${place === '' ? '' : ` ${place}`} `);
    expect(stderr).not.toContain('internal:');
  };
  const two = [
    { text: 'a', label: 'x' },
    { text: 'b', label: 'y' },
    { text: 'c', label: 'x' },
    { text: 'd', label: 'y' },
  ];
  const none = ['--valid', 'none', '--name', 'bad'] as const;
  const bad = (name: string, rows: readonly unknown[], ...args: (string | number)[]) =>
    train('--data', data(name, rows), ...(args.includes('--valid') ? ['--name', 'bad'] : none), ...args);

  test.each([
    ['an empty label', { text: 'e', label: ' ' }, 'DATA_LABEL'],
    ['no label', { text: 'e' }, 'DATA_LABEL'],
    ['both columns', { text: 'e', label: 'x', labels: ['x'] }, 'DATA_LABEL'],
    ['labels that are no array', { text: 'e', labels: 'x,y' }, 'DATA_LABEL'],
    ['several labels among rows of one', { text: 'e', labels: ['x'] }, 'DATA_LABEL_MIXED'],
    ['an empty text', { text: '', label: 'x' }, 'DATA_EMPTY_TEXT'],
    ['a pair', { prompt: 'e', completion: 'f', label: 'x' }, 'DATA_LABEL'],
  ])('%s', async (_, row, code) => {
    await refused(bad('bad.jsonl', [...two, row]), code, `${file('bad.jsonl')}:5`);
    expect(existsSync(path.join(out, 'bad'))).toBe(false);
  });

  test('one label only', () => refused(bad('one.jsonl', [two[0], two[2]]), 'DATA_LABEL_ONE', file('one.jsonl')));

  test('a label of the held-out rows that training never saw', async () => {
    const valid = data('valid.jsonl', [two[0], { text: 'q', label: 'z' }]);
    await refused(bad('seen.jsonl', two, '--valid', valid), 'DATA_LABEL_UNSEEN', `${valid}:2`);
  });

  test('options of other methods', async () => {
    await refused(bad('options.jsonl', two, '--train-on', 'last'), 'CLI_OPTION_CONFLICT');
    await refused(bad('options.jsonl', two, '--train-on', 'all'), 'CLI_OPTION_CONFLICT');
    await refused(bad('options.jsonl', two, '--format', 'raw'), 'CLI_OPTION_CONFLICT');
    await refused(bad('options.jsonl', two, '--system', 'Be brief.'), 'CLI_OPTION_CONFLICT');
    const sft = ['train', '--model', model, '--data', data('sft.jsonl', [{ text: 'a' }, { text: 'b' }]), '--out', out];
    await refused(cli([...sft, '--class-weights', 'balanced']), 'CLI_OPTION_CONFLICT');
  });

  test('a label with one row is a warning, and the row trains', async () => {
    const rare = [...rows, { text: 'q', label: 'rare' }];
    const { exit, lines, stderr } = await train('--data', data('rare.jsonl', rare), '--steps', 1, '--name', 'rare');
    expect(exit, stderr).toBe(0);
    expect(lines.some(({ type, code }) => type === 'warning' && code === 'DATA_LABEL_FEW')).toBe(true);
    rmSync(path.join(out, 'rare'), { recursive: true });
  });

  test('classify on what is no classifier', async () => {
    await refused(cli(['classify', model, '--text', 'a']), 'CLASSIFIER_MISSING', model);
  });
});

test('init proposes to classify what brings labels', async () => {
  const labelled = data('init.jsonl', rows.slice(0, 4));
  const before = process.cwd();
  process.chdir(folder);
  try {
    const { exit, stderr } = await cli(['init', labelled, '--model', model]);
    expect(exit, stderr).toBe(0);
    expect(readFileSync(file('tunesmith.config.ts'), 'utf8')).toContain("method: { kind: 'classify' }");
  } finally {
    process.chdir(before);
  }
});

test('other adapters carry a head too', async () => {
  const adapted = await train('--data', data('dora.jsonl', rows), '--weights', 'dora', '--steps', 3, '--name', 'dora');
  expect(adapted.exit, adapted.stderr).toBe(0);
  const { lines } = await cli(['classify', path.join(out, 'dora'), '--text', '7 apple acai apple', '--threads', 1]);
  expect(lines[0]).toMatchObject({ type: 'result', probabilities: { fruit: expect.any(Number) } });
});
