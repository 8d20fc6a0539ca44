import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { openModelSource } from '../../src/model/source.ts';
import { openText } from '../../src/text/index.ts';
import { cli, type Line, linesOf, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { writeRows } from '../support/golden-rows.ts';
import { type Flags, interrupted, resume, train, trainArgs, writeToys } from '../support/toy-runs.ts';

/** One engine for all runs of the file: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
const texts = Array.from(
  { length: 6 },
  (_, i) => `Document ${i}.\n${`The kettle is on, says Ada ${i}. `.repeat(i + 1)}`,
);
const rows = writeRows(
  path.join(toys.folder, 'texts.jsonl'),
  texts.map((text) => ({ text })),
);
const general = writeRows(
  path.join(toys.folder, 'general.jsonl'),
  ['Rain falls.', 'Snow lies on the hill.', 'The sun is out.'].map((text) => ({ text })),
);
const held = path.join(toys.folder, 'held.txt');
writeFileSync(held, 'The kettle is on, says Bo.\n'.repeat(20));

function write(name: string, content: string | Uint8Array): string {
  const file = path.join(toys.folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

const shortForm = write('tiny.json', JSON.stringify({ layers: 2, hidden: 16, heads: 2, context: 512 }));
const PRETRAIN: Flags = { method: 'pretrain', data: rows, 'max-length': 32, batch: 4, steps: 3 };
const SCRATCH: Flags = { ...PRETRAIN, model: undefined, 'from-scratch': shortForm, vocab: 280 };

const bitsOf = (event: Line | undefined) => (event as unknown as { bitsPerByte: number }).bitsPerByte;

/** The error of a run that is not begun. */
async function refused(flags: Flags): Promise<string> {
  const { exit, stderr } = await cli(trainArgs(toys, 'refused', flags));
  expect(exit, stderr).toBe(2);
  return stderr;
}

const weightsOf = (run: string, file: string) => readFileSync(path.join(run, 'last', file));
const lossesIn = (run: string) => lossesOf(linesOf(readFileSync(path.join(run, 'events.jsonl'), 'utf8')));

describe('pre-training on documents', () => {
  test('has the loss of the documents one by one, wherever they lie in blocks', async () => {
    const all = { steps: 1, batch: 6, 'max-length': 512 };
    const [sft] = (await train(toys, { ...PRETRAIN, ...all, method: 'sft' })).losses;
    for (const more of [{}, { 'no-pack': true }, { 'micro-batch': 1 }] satisfies Flags[]) {
      const [loss] = (await train(toys, { ...PRETRAIN, ...all, ...more })).losses;
      expect(loss).toBeCloseTo(sft!, 5);
    }
  });

  test('trains every token, in blocks of the length', async () => {
    const { exit, lines } = await cli([...trainArgs(toys, 'planned', { ...PRETRAIN, steps: undefined }), '--plan']);
    expect(exit).toBe(0);
    const { tokenizer } = openText(openModelSource(toys.model).text!, { now: new Date() });
    // Each document ends with the end of the sequence; its first token has nothing before it.
    const predicted = texts.reduce((n, text) => n + tokenizer.encode(text).length, 0);
    const [plan] = lines.filter(({ type }) => type === 'plan');
    const blocks = Math.ceil(predicted / 31);
    expect(plan).toMatchObject({ method: 'pretrain', supervisedTokens: predicted });
    expect(Number(plan!.rows)).toBeGreaterThanOrEqual(blocks);
    expect(Number(plan!.rows)).toBeLessThanOrEqual(blocks + 3);
    expect(Number(plan!.steps)).toBe(Math.ceil(Number(plan!.rows) / 4));
  });

  test('reads folders of documents, one a file, and says what it leaves out', async () => {
    write('handbook/one.md', texts[0]!);
    write('handbook/deep/two.txt', `${texts[1]}\n\n${texts[2]}`);
    write('handbook/picture.png', new Uint8Array([0x89, 0x50, 0, 1]));
    const { lines, run } = await train(toys, { ...PRETRAIN, data: path.join(toys.folder, 'handbook'), batch: 1 });
    const warning = lines.find(({ code }) => code === 'DATA_FILE_SKIPPED');
    expect(warning?.message).toContain('picture.png');
    const data = JSON.parse(readFileSync(path.join(run, 'data.json'), 'utf8')) as { files: { rows: number }[] };
    expect(data.files.map((file) => file.rows)).toEqual([1, 1]);
  });

  test('a document that is added to a folder is not trained by a run that goes on', async () => {
    const folder = path.join(toys.folder, 'growing');
    write('growing/a.txt', texts[5]!);
    const { run } = await train(toys, { ...PRETRAIN, data: folder });
    rmSync(path.join(run, 'last'), { recursive: true });
    const log = readFileSync(path.join(run, 'events.jsonl'), 'utf8');
    writeFileSync(
      path.join(run, 'events.jsonl'),
      log
        .split('\n')
        .filter((line) => !line.includes('"done"'))
        .join('\n'),
    );
    write('growing/b.txt', texts[4]!);
    expect((await resume(run)).stderr).toContain('RUN_DATA_CHANGED');
  });

  test('says how many bits a byte takes', async () => {
    const { lines } = await train(toys, { ...PRETRAIN, valid: held });
    const evals = lines.filter(({ type }) => type === 'eval');
    const text = readFileSync(held, 'utf8');
    // The first half selects; its first byte is predicted by nothing.
    const bytes = text.slice(0, 10 * 27).length - 1;
    for (const event of evals) {
      const { loss, tokens } = event as unknown as { loss: number; tokens: number };
      expect(bitsOf(event)).toBeCloseTo((loss * tokens) / (Math.LN2 * bytes), 10);
    }
    expect(lines.find(({ type }) => type === 'report')).toMatchObject({
      bitsPerByte: { before: expect.any(Number), after: expect.any(Number) },
    });
    const sft = await train(toys, { data: rows, valid: 0.5, batch: 2 });
    expect(sft.lines.filter(({ type }) => type === 'eval').map(bitsOf)).not.toContainEqual(expect.any(Number));
  });
});

describe('replay', () => {
  const REPLAY: Flags = { ...PRETRAIN, replay: general, 'replay-ratio': 0.25, steps: 12, 'save-every': 3 };

  test('changes what is trained, by its share', async () => {
    const [without, some, more] = await Promise.all(
      [
        PRETRAIN,
        { ...PRETRAIN, replay: general, 'replay-ratio': 0.5 },
        { ...PRETRAIN, replay: general, 'replay-ratio': 0.8 },
      ].map((flags) => train(toys, flags)),
    );
    const tokens = (lines: readonly Line[]) =>
      lines.filter(({ type }) => type === 'step').map((line) => Number(line.tokens));
    expect(some!.losses).not.toEqual(without!.losses);
    expect(more!.losses).not.toEqual(some!.losses);
    for (const [i, n] of tokens(some!.lines).entries()) expect(n).toBeGreaterThan(tokens(without!.lines)[i]!);
  });

  test('is counted in the plan', async () => {
    const { lines } = await cli([...trainArgs(toys, 'planned', REPLAY), '--plan']);
    const [plan] = lines.filter(({ type }) => type === 'plan') as unknown as {
      replay: { perStep: number; rows: number; tokens: number };
    }[];
    expect(plan!.replay.perStep).toBeCloseTo(4 / 3);
    expect(plan!.replay.tokens).toBeGreaterThan(0);
  });

  test('goes on to the same bits', async () => {
    const straight = await train(toys, REPLAY);
    const run = await interrupted(toys, 'replayed', REPLAY, '"step":5,');
    expect(lossesIn(run)).toEqual(straight.losses);
    const file = 'adapter_model.safetensors';
    expect(weightsOf(run, file).equals(weightsOf(straight.run, file))).toBe(true);
  });

  test('takes conversations beside texts', async () => {
    const { losses } = await train(toys, { ...PRETRAIN, replay: toys.chats, 'max-length': 256, 'replay-ratio': 0.5 });
    expect(losses.length).toBe(3);
  });
});

describe('a model from scratch', () => {
  test('is a model folder that trains on, scores and generates', async () => {
    const { run, lines } = await train(toys, { ...SCRATCH, valid: held, steps: 20, lr: 1e-2 });
    const [first, last] = lines
      .filter(({ type }) => type === 'eval')
      .flatMap((e, i, all) => (i % (all.length - 1) ? [] : [bitsOf(e)]));
    expect(last).toBeLessThan(first! - 0.5);
    const folder = path.join(run, 'last');
    const source = openModelSource(folder);
    expect(source.config).toMatchObject({ modelType: 'llama', layers: 2, vocabSize: 280, eosIds: [0] });
    const { tokenizer } = openText(source.text!, { now: new Date() });
    expect(tokenizer.decode(tokenizer.encode('Größe 🙂'))).toBe('Größe 🙂');
    for (const model of [run, folder]) {
      const scored = await cli(['score', model, '--data', rows]);
      expect(scored.exit, scored.stderr).toBe(0);
      const made = await cli(['generate', model, '--prompt', 'The kettle', '--max-tokens', '4']);
      expect(made.exit, made.stderr).toBe(0);
    }
    const more = await cli([
      'train',
      '--from',
      run,
      '--data',
      rows,
      '--steps',
      1,
      '--out',
      toys.folder,
      '--name',
      'more',
    ]);
    expect(more.exit, more.stderr).toBe(0);
    const adapted = await train(toys, { ...PRETRAIN, model: folder, lr: 1e-3 });
    expect(adapted.losses.length).toBe(3);
  });

  test('takes a config.json, and starts where its seed says', async () => {
    const config = JSON.parse(readFileSync(path.join(toys.model, 'config.json'), 'utf8')) as Record<string, unknown>;
    const file = write('config-qwen.json', JSON.stringify({ ...config, model_type: 'qwen3', vocab_size: 270 }));
    const flags = { ...SCRATCH, 'from-scratch': file, vocab: undefined };
    const [one, same, other] = [
      await train(toys, flags),
      await train(toys, flags),
      await train(toys, { ...flags, seed: 1 }),
    ];
    expect(same.losses).toEqual(one.losses);
    expect(other.losses).not.toEqual(one.losses);
    expect(openModelSource(path.join(one.run, 'init')).config).toMatchObject({ modelType: 'qwen3', vocabSize: 270 });
    const [small] = (await train(toys, SCRATCH)).losses;
    const [large] = (await train(toys, { ...SCRATCH, vocab: 300 })).losses;
    expect(large).not.toEqual(small);
  });

  test('is made of the example that ships', async () => {
    const file = path.join(import.meta.dirname, '../../examples/pretrain/small.json');
    const { run } = await train(toys, { ...SCRATCH, 'from-scratch': file, 'max-length': 256, steps: 1 });
    const { config } = openModelSource(path.join(run, 'last'));
    expect(config).toMatchObject({ layers: 4, hiddenSize: 192, heads: 6, maxPositions: 256 });
  });

  test('goes on to the same bits, also from before the first checkpoint', async () => {
    const flags = { ...SCRATCH, steps: 9, 'save-every': 4, valid: held, 'eval-every': 3 };
    const straight = await train(toys, flags);
    for (const at of ['"type":"warning"', '"step":6,']) {
      const run = await interrupted(toys, `scratch-${at.replace(/\W/g, '')}`, flags, at);
      expect(lossesIn(run)).toEqual(straight.losses);
      expect(weightsOf(run, 'model.safetensors').equals(weightsOf(straight.run, 'model.safetensors'))).toBe(true);
    }
    const run = path.join(toys.folder, 'moved');
    rmSync(path.join(straight.run, 'checkpoints'), { recursive: true });
    const log = path.join(straight.run, 'events.jsonl');
    writeFileSync(log, '');
    const { renameSync } = await import('node:fs');
    renameSync(straight.run, run);
    expect((await resume(run)).exit).toBe(0);
    expect(lossesIn(run)).toEqual(straight.losses);
  });

  test('says so where the texts give fewer tokens than wanted', async () => {
    const { lines } = await train(toys, { ...SCRATCH, vocab: 4000 });
    expect(lines.find(({ code }) => code === 'TOKENIZER_SMALL')?.message).toContain('fewer than 4000');
  });
});

describe('bad input of pre-training', () => {
  const broken: readonly (readonly [what: string, flags: Flags, error: string])[] = [
    ['a file of zero bytes', { data: write('empty.txt', '') }, 'DATA_EMPTY_FILE'],
    ['white space', { data: write('blank.md', ' \n\t') }, 'DATA_EMPTY_TEXT'],
    ['a binary file', { data: write('program.txt', new Uint8Array([65, 66, 0, 67])) }, 'DATA_BINARY'],
    ['a picture', { data: write('picture.txt', new Uint8Array([0x89, 0x50, 0x4e, 0x47])) }, 'FILE_NOT_UTF8'],
    ['UTF-16', { data: write('utf16.txt', Buffer.from('\ufeffab', 'utf16le')) }, 'UTF-16'],
    ['conversations', { data: toys.chats }, 'DATA_NOT_TEXT'],
    ['a folder without texts', { data: path.join(toys.folder, 'nothing') }, 'FILE_NOT_FOUND'],
    ['a replayed file that is not there', { replay: 'missing.jsonl' }, 'FILE_NOT_FOUND'],
    ['a document for sft', { method: 'sft', data: write('note.md', 'text') }, '--method pretrain'],
  ];
  mkdirSync(path.join(toys.folder, 'nothing'), { recursive: true });
  test.each(broken)('%s is refused', async (_, flags, error) => {
    expect(await refused({ ...PRETRAIN, ...flags })).toContain(error);
  });

  const ignored: readonly (readonly [what: string, flags: Flags])[] = [
    ['--system', { system: 'You are Ada.' }],
    ['--train-on', { 'train-on': 'last' }],
    ['--format', { format: 'raw' }],
    ['--on-long', { 'on-long': 'drop' }],
    ['--role', { role: 'bot=assistant' }],
    ['--replay-ratio', { 'replay-ratio': 0.1 }],
    ['--vocab', { vocab: 300 }],
    ['--replay', { method: 'classify', replay: general }],
    ['--from-scratch', { 'from-scratch': shortForm }],
    ['--weights', { model: undefined, 'from-scratch': shortForm, weights: 'lora' }],
    ['--rank', { model: undefined, 'from-scratch': shortForm, rank: 4 }],
    ['--replay', { model: undefined, 'from-scratch': shortForm, replay: general }],
  ];
  test.each(ignored)('%s is refused where it would be ignored', async (flag, flags) => {
    const said = await refused({ ...PRETRAIN, ...flags });
    expect(said).toContain('CLI_OPTION_CONFLICT');
    expect(said).toContain(flag);
  });

  const configs: readonly (readonly [what: string, value: unknown, error: string])[] = [
    ['an unknown key', { layers: 1, hidden: 16, heads: 2, head: 1 }, 'MODEL_CONFIG'],
    ['heads that do not fit', { layers: 1, hidden: 18, heads: 4 }, 'MODEL_CONFIG'],
    ['a list', [], 'MODEL_CONFIG'],
    ['an unknown architecture', { model_type: 'mamba' }, 'MODEL_UNSUPPORTED'],
    ['an architecture that is not made', { model_type: 'phi3', hidden_size: 8 }, 'MODEL_'],
  ];
  test.each(configs)('a config with %s is refused', async (what, value, error) => {
    const file = write(`${what.replaceAll(' ', '-')}.json`, JSON.stringify(value));
    expect(await refused({ ...SCRATCH, 'from-scratch': file })).toContain(error);
  });
});
