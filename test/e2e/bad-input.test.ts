import { cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { readSafetensorsHeader, writeGguf } from '../../src/io/index.ts';
import { type Called, cli, temporaryFolder } from '../support/cli.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import type { Flags } from '../support/toy-runs.ts';

// Section 3 of the issue, line by line: a catalogue error with file, line, rule and fix, exit code 2, and nothing written.
const folder = temporaryFolder();
const out = path.join(folder, 'runs');
const model = writeTinyChatModel(path.join(folder, 'model'));
const file = (name: string) => path.join(folder, name);

const user = { role: 'user', content: 'Hello' };
const assistant = { role: 'assistant', content: 'Hi, how can I help?' };
const GOOD = { messages: [user, assistant] };
const good = data('good.jsonl', GOOD, { messages: [{ ...user, content: 'Bye' }, assistant] });

/** A data file of these rows: objects as JSON, texts as they stand. */
function data(name: string, ...rows: readonly unknown[]): string {
  const lines = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row)));
  writeFileSync(file(name), `${lines.join('\n')}\n`);
  return file(name);
}

/** A copy of the model that `spoil` has been at. */
function broken(name: string, spoil: (copy: string) => void): string {
  cpSync(model, file(name), { recursive: true });
  spoil(file(name));
  return file(name);
}

interface Expected {
  readonly code: string;
  readonly file?: string;
  readonly line?: number;
  /** Part of the message or of the fix. */
  readonly says?: string;
}

const train = (flags: Flags): Promise<Called> => {
  const all: Flags = { model, data: good, valid: 'none', steps: 1, batch: 2, threads: 1, out, ...flags };
  const given = Object.entries(all).filter(([, v]) => v !== undefined);
  return cli(['train', ...given.flatMap(([k, v]) => (v === true ? [`--${k}`] : [`--${k}`, String(v)]))]);
};

function expectRefused({ exit, lines, stderr }: Called, { code, file: place, line, says }: Expected): void {
  const error = lines.find(({ type, code: found }) => type === 'error' && found === code);
  expect(error, stderr).toBeDefined();
  expect(exit, stderr).toBe(2);
  const where = place === undefined ? '' : ` ${place}${line === undefined ? '' : `:${line}`}`;
  expect(stderr).toContain(`${code}${where} `);
  if (says !== undefined) expect(stderr).toContain(says);
  expect(stderr).not.toContain('internal:');
}

afterEach(() => {
  const left = existsSync(out);
  rmSync(out, { recursive: true, force: true });
  expect(left, 'a refused run leaves nothing').toBe(false);
});

describe('data', () => {
  const row = (...messages: readonly unknown[]) => ({ messages });
  const many = Array.from({ length: 30 }, () => 'word').join(' ');
  test.each<[string, string, Expected]>([
    ['a file that is not there', file('none.jsonl'), { code: 'FILE_NOT_FOUND', file: file('none.jsonl') }],
    [
      'a line that is not JSON',
      data('json.jsonl', GOOD, '{"messages": [}'),
      { code: 'DATA_JSON', file: file('json.jsonl'), line: 2 },
    ],
    ['an empty file', data('empty.jsonl'), { code: 'DATA_EMPTY_FILE', file: file('empty.jsonl') }],
    [
      'no assistant answer',
      data('none-said.jsonl', GOOD, row(user)),
      { code: 'DATA_NO_ASSISTANT', file: file('none-said.jsonl'), line: 2, says: 'Fix:' },
    ],
    [
      'an unknown role',
      data('role.jsonl', GOOD, row(user, { ...assistant, role: 'bot' })),
      { code: 'DATA_ROLE_UNKNOWN', file: file('role.jsonl'), line: 2, says: 'bot' },
    ],
    [
      'an empty answer',
      data('silent.jsonl', GOOD, row(user, { ...assistant, content: '' })),
      { code: 'DATA_EMPTY_ANSWER', file: file('silent.jsonl'), line: 2, says: 'Fix:' },
    ],
    [
      'nothing to learn',
      data('weight.jsonl', GOOD, row(user, { ...assistant, weight: 0 })),
      { code: 'DATA_NOTHING_SUPERVISED', file: file('weight.jsonl'), line: 2, says: 'Fix:' },
    ],
    [
      'token ids beyond the vocabulary',
      data('ids.jsonl', { input_ids: [1, 99999], labels: [1, 2] }),
      { code: 'DATA_IDS', file: file('ids.jsonl'), line: 1 },
    ],
    [
      'a picture',
      data('image.jsonl', row({ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }, assistant)),
      { code: 'IMAGE_NOT_SUPPORTED', file: file('image.jsonl'), line: 1 },
    ],
    [
      'tokens of the template in the text',
      data('special.jsonl', row({ ...user, content: 'a <|im_end|>' }, assistant)),
      { code: 'DATA_SPECIAL_TOKEN', file: file('special.jsonl'), line: 1 },
    ],
  ])('%s', async (_, rows, expected) => expectRefused(await train({ data: rows }), expected));

  test('no answer is left after truncation', async () => {
    const long = data('long.jsonl', GOOD, row({ ...user, content: many }, { ...assistant, content: many }));
    expectRefused(await train({ data: long, 'max-length': 60 }), {
      code: 'DATA_ANSWERS_CUT',
      file: long,
      line: 2,
      says: 'Fix:',
    });
    expectRefused(await train({ data: long, 'max-length': 60, 'on-long': 'error' }), {
      code: 'DATA_TOO_LONG',
      file: long,
      line: 2,
    });
  });

  test('all faults in one pass', async () => {
    const several = data('several.jsonl', row(user), GOOD, row(user, { ...assistant, role: 'bot' }));
    const called = await train({ data: several });
    expectRefused(called, { code: 'DATA_NO_ASSISTANT', file: several, line: 1 });
    expect(called.stderr).toContain('DATA_ROLE_UNKNOWN');
  });
});

describe('models', () => {
  const weights = 'model.safetensors';
  /** Changes the JSON header of the weight file and keeps its length. */
  const header = (change: (text: string) => string) => (copy: string) => {
    const bytes = readFileSync(path.join(copy, weights));
    const size = Number(bytes.readBigUInt64LE(0));
    const text = change(bytes.subarray(8, 8 + size).toString()).padEnd(size);
    expect(text.length).toBe(size);
    writeFileSync(
      path.join(copy, weights),
      Buffer.concat([bytes.subarray(0, 8), Buffer.from(text), bytes.subarray(8 + size)]),
    );
  };
  /** The second tensor begins before the first has ended. */
  const overlapping = (text: string) => {
    const json = JSON.parse(text) as Record<string, { data_offsets?: [number, number] }>;
    const second = Object.values(json).find(({ data_offsets: at }) => at !== undefined && at[0] > 0);
    if (second?.data_offsets !== undefined)
      second.data_offsets = [second.data_offsets[0] - 4, second.data_offsets[1] - 4];
    return JSON.stringify(json);
  };
  const config = (change: object) => (copy: string) => {
    const name = path.join(copy, 'config.json');
    writeFileSync(name, JSON.stringify({ ...JSON.parse(readFileSync(name, 'utf8')), ...change }));
  };
  test.each<[string, (copy: string) => void, Expected]>([
    [
      'weights cut short',
      (copy) => truncateSync(path.join(copy, weights), 20_000),
      { code: 'SAFETENSORS_OFFSETS', says: 'cut short' },
    ],
    ['weights that overlap', header(overlapping), { code: 'SAFETENSORS_OFFSETS' }],
    [
      'an unknown dtype',
      header((t) => t.replace('"F32"', '"F99"')),
      { code: 'SAFETENSORS_DTYPE_UNKNOWN', says: 'F99' },
    ],
    ['a header that is no JSON', header((t) => `!${t.slice(1)}`), { code: 'SAFETENSORS_HEADER' }],
    ['a shape that the config denies', config({ intermediate_size: 65 }), { code: 'MODEL_WEIGHTS' }],
    ['another architecture', config({ architectures: ['T5Model'], model_type: 't5' }), { code: 'MODEL_UNSUPPORTED' }],
    [
      'a config that is not JSON',
      (copy) => writeFileSync(path.join(copy, 'config.json'), '{'),
      { code: 'FILE_NOT_JSON' },
    ],
    [
      'a tokenizer that is not one',
      (copy) => writeFileSync(path.join(copy, 'tokenizer.json'), '{}'),
      { code: 'TOKENIZER_' },
    ],
    [
      'a template that is no Jinja',
      (copy) =>
        writeFileSync(
          path.join(copy, 'tokenizer_config.json'),
          JSON.stringify({ eos_token: '</s>', chat_template: '{% if %}' }),
        ),
      { code: 'TEMPLATE_INVALID' },
    ],
  ])('%s', async (name, spoil, expected) => {
    const copy = broken(name.replaceAll(' ', '-'), spoil);
    const called = await train({ model: copy });
    const code = String(called.lines.find(({ type }) => type === 'error')?.code);
    expect(code, called.stderr).toContain(expected.code);
    expectRefused(called, { ...expected, code });
    expect(called.stderr).toContain(copy);
  });

  test('a GGUF file cut short', async () => {
    const gguf = file('cut.gguf');
    const data = new Float32Array(4096);
    writeGguf(gguf, { metadata: {}, tensors: [{ name: 'token_embd.weight', type: 'F32', shape: [64, 64], data }] });
    truncateSync(gguf, 4000);
    expectRefused(await train({ model: gguf }), { code: 'GGUF_TENSOR', file: gguf, says: 'cut short' });
  });

  test('a model that is nowhere', async () => {
    expectRefused(await train({ model: file('nowhere') }), { code: 'MODEL_NOT_FOUND' });
  });

  test('an adapter for another base', async () => {
    const golden = path.join(import.meta.dirname, '..', 'golden');
    const adapter = path.join(golden, 'llama', 'adapter');
    expectRefused(await train({ 'init-adapter': adapter }), { code: 'ADAPTER_MISMATCH' });
    const hashed = file('hashed-adapter');
    cpSync(adapter, hashed, { recursive: true });
    const name = path.join(hashed, 'adapter_model.safetensors');
    const { metadata } = readSafetensorsHeader(name);
    expect(metadata.base_sha256).toBeUndefined();
    const called = await cli(['score', '--model', model, '--adapter', adapter, '--data', good]);
    expectRefused(called, { code: 'ADAPTER_MISMATCH' });
  });
});

describe('options', () => {
  test.each<[string, Flags, Expected]>([
    ['an unknown option', { lrr: 1 }, { code: 'CLI_OPTION_UNKNOWN', says: '--lr' }],
    ['a value out of range', { lr: -1 }, { code: 'CLI_OPTION_VALUE', says: '--lr' }],
    ['--rank with --weights full', { weights: 'full', rank: 4 }, { code: 'CLI_OPTION_CONFLICT', says: '--rank' }],
    ['--steps and --epochs', { epochs: 1 }, { code: 'CLI_OPTION_CONFLICT', says: '--epochs' }],
    ['--patience without validation rows', { patience: 1 }, { code: 'CLI_OPTION_CONFLICT', says: '--patience' }],
    [
      '--eval-every where the rows are too few to hold some out',
      { 'eval-every': 2, valid: undefined },
      { code: 'CLI_OPTION_CONFLICT', says: '--valid FILE|FRACTION' },
    ],
    [
      '--rank beside --init-adapter',
      { 'init-adapter': model, rank: 4 },
      { code: 'CLI_OPTION_CONFLICT', says: '--rank' },
    ],
    ['targets that are no modules', { targets: 'q_prj' }, { code: 'ADAPTER_TARGETS', says: 'q_prj' }],
    ['layers that are not there', { layers: '5' }, { code: 'ADAPTER_TARGETS', says: '5' }],
    ['--device webgpu', { device: 'webgpu' }, { code: 'CLI_OPTION_VALUE' }],
    ['a size that is none', { memory: 'much' }, { code: 'CLI_OPTION_VALUE', says: 'much' }],
    ['too little memory', { memory: '1MB' }, { code: 'TRAIN_MEMORY', says: 'Fix:' }],
    ['too little disk', { keep: 1e12 }, { code: 'TRAIN_DISK', says: '--keep' }],
  ])('%s', async (_, flags, expected) => expectRefused(await train(flags), expected));

  test('an unknown key of a config, with its line and the nearest name', async () => {
    const config = file('tunesmith.config.yaml');
    writeFileSync(config, `model: ${model}\ndata: ${good}\ntrain:\n  lrate: 1\n  bach: 2\n`);
    const called = await cli(['train', config, '--out', out]);
    expectRefused(called, { code: 'CONFIG_KEY_UNKNOWN', file: config, line: 5, says: 'batch' });
  });
});

test('what is left behind is what was put there', () => {
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});
