import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { openSubject } from '../../src/evaluate/subject.ts';
import { openSafetensorsFolder, readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { openModelSource } from '../../src/model/source.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { type Flags, interrupted, type Trained, train, trainArgs, writeToys } from '../support/toy-runs.ts';

/** One engine for all calls: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
const untied = {
  ...toys,
  model: writeTinyChatModel(path.join(toys.folder, 'untied'), { tie_word_embeddings: false }),
};
const TOKENS = ['<order>', '<ticket>', '<never>'];
const rows = Array.from({ length: 12 }, (_, i) => ({
  messages: [
    { role: 'user', content: `Where is ${i % 2 === 0 ? '<order>' : '<ticket>'} number ${i}?` },
    { role: 'assistant', content: `Your ${i % 2 === 0 ? '<order>' : '<ticket>'} ${i} is here.` },
  ],
}));
const data = writeRows(path.join(toys.folder, 'tokens.jsonl'), rows);
const FLAGS: Flags = { data, 'add-tokens': TOKENS.join(','), steps: 6, 'save-every': 2, valid: 0.3 };
const { config } = openModelSource(toys.model);
const first = config.vocabSize;

let run: string;
let straight: Trained;
beforeAll(async () => {
  straight = await train(toys, FLAGS);
  ({ run } = straight);
});

async function lossOf(...model: readonly (string | number)[]): Promise<number> {
  const { lines, stderr } = await cli(['score', ...model, '--data', data, '--threads', 1]);
  const total = lines.find(({ type }) => type === 'total');
  expect(total, stderr).toBeDefined();
  return Number(total?.nll) / Number(total?.tokens);
}

const tensorsOf = (folder: string) =>
  new Map(
    (folder.endsWith('best') || folder.endsWith('last')
      ? readSafetensorsHeader(path.join(folder, 'adapter_model.safetensors'))
      : openSafetensorsFolder(folder)
    ).tensors.map((t) => [t.name, readStored(t)]),
  );

let exports = 0;
async function exported(run: string, to: string, ...args: readonly string[]): Promise<string> {
  const out = path.join(toys.folder, `export-${exports++}`);
  const { exit, stderr } = await cli(['export', run, '--to', to, '--out', out, '--threads', 1, ...args]);
  expect(exit, stderr).toBe(0);
  return out;
}

async function idsOf(model: string, text: string): Promise<unknown> {
  const { lines, stderr } = await cli(['tokenize', model, '--text', text]);
  expect(lines, stderr).toHaveLength(1);
  return lines[0]!.ids;
}

/** The mean of the rows of the tokens that each new one was made of. */
async function starts(model: string, tensor: string): Promise<number[]> {
  const width = config.hiddenSize;
  const table = readStored(openModelSource(model).tensors.get(tensor)!);
  const means = TOKENS.map(async (token) => {
    const ids = (await idsOf(model, token)) as number[];
    return Array.from({ length: width }, (_, d) => ids.reduce((n, id) => n + table[id * width + d]!, 0) / ids.length);
  });
  return (await Promise.all(means)).flat();
}

const EMBED = 'base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta';
const HEAD = 'base_model.model.lm_head.token_adapter.trainable_tokens_delta';

describe('--add-tokens', () => {
  test('trains the rows of the new tokens beside the adapter, and no others', async () => {
    const rowsOf = tensorsOf(path.join(run, 'last')).get(EMBED)!;
    const begun = await starts(toys.model, 'model.embed_tokens.weight');
    expect(rowsOf).toHaveLength(3 * config.hiddenSize);
    for (const token of [0, 1, 2]) {
      const at = token * config.hiddenSize;
      expect(Math.abs(rowsOf[at]! - begun[at]!), TOKENS[token]).toBeGreaterThan(1e-5);
    }
    const merged = tensorsOf(await exported(run, 'safetensors', '--quant', 'f32')).get('model.embed_tokens.weight')!;
    const before = readStored(openModelSource(toys.model).tensors.get('model.embed_tokens.weight')!);
    expect(merged.subarray(0, before.length)).toEqual(before);
    const best = tensorsOf(path.join(run, 'best')).get(EMBED)!;
    expect(merged.subarray(before.length)).toEqual(best);
  });

  test('begins with the mean of the pieces, in embedding and head', async () => {
    const still = await train(untied, { ...FLAGS, steps: 1, lr: 1e-30 });
    const found = tensorsOf(path.join(still.run, 'last'));
    for (const [name, tensor] of [
      [EMBED, 'model.embed_tokens.weight'],
      [HEAD, 'lm_head.weight'],
    ] as const) {
      const expected = await starts(untied.model, tensor);
      for (const [i, value] of found.get(name)!.entries()) expect(value).toBeCloseTo(expected[i]!, 6);
    }
  });

  test('changes how text is cut, for all that opens the run', async () => {
    expect(await idsOf(run, 'a <ticket>')).toEqual([...((await idsOf(toys.model, 'a ')) as number[]), first + 1]);
    expect(JSON.parse(readFileSync(path.join(run, 'best', 'added_tokens.json'), 'utf8'))).toEqual({
      '<order>': first,
      '<ticket>': first + 1,
      '<never>': first + 2,
    });
  });

  test('learns', async () => {
    expect(straight.losses.at(-1)).toBeLessThan(straight.losses[0]!);
    expect(await lossOf(run)).toBeLessThan(straight.losses[0]!);
  });

  test('goes on to the same bits after an interruption', async () => {
    const again = await interrupted(toys, 'tokens-interrupted', FLAGS, '"step":3,');
    for (const folder of ['last', 'best']) {
      for (const file of ['adapter_model.safetensors', 'adapter_config.json', 'added_tokens.json']) {
        const [one, other] = [run, again].map((path_) => readFileSync(path.join(path_, folder, file)));
        expect(one!.equals(other!), `${folder}/${file}`).toBe(true);
      }
    }
  });

  test('is what another run starts from', async () => {
    const next = await train(toys, {
      data,
      steps: 1,
      valid: 'none',
      'init-adapter': path.join(run, 'last'),
      batch: 12,
    });
    const before = await lossOf(toys.model, '--adapter', path.join(run, 'last'));
    expect(next.losses[0]! / before).toBeCloseTo(1, 5);
    expect(await idsOf(next.run, '<never>')).toEqual([first + 2]);
  });

  test('is generated, greedily as by the merged model', async () => {
    const merged = await exported(run, 'safetensors', '--quant', 'f32');
    const answers = await Promise.all(
      [run, merged].map(async (model) => {
        const { lines, stderr } = await cli([
          'generate',
          model,
          '--prompt',
          'Where is <order> number 3?',
          '--max-tokens',
          12,
        ]);
        expect(lines.length, stderr).toBeGreaterThan(0);
        return lines.find(({ type }) => type === 'result')?.ids;
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
  });

  test.each([
    ['safetensors', ['--quant', 'f32']],
    ['gguf', ['--quant', 'f32']],
    ['peft', []],
  ] as const)('goes out as %s with tokenizer and rows', async (to, args) => {
    for (const trained of [run, (await train(untied, FLAGS)).run]) {
      const out = await exported(trained, to, ...args);
      const base = trained === run ? toys.model : untied.model;
      const file = to === 'gguf' ? path.join(out, `${path.basename(trained)}-f32.gguf`) : out;
      const model = to === 'peft' ? [base, '--adapter', out] : [file];
      expect((await lossOf(...model)) / (await lossOf(trained))).toBeCloseTo(1, 5);
      if (to !== 'peft') expect(await idsOf(file, '<never><order>')).toEqual([first + 2, first]);
    }
  });

  test('works over a GGUF file, at rest too', async () => {
    const plain = await train(toys, { data, steps: 1, valid: 'none', lr: 1e-30 });
    const out = await exported(plain.run, 'gguf', '--quant', 'q8_0');
    const model = path.join(out, `${path.basename(plain.run)}-q8_0.gguf`);
    const [wide, resting] = [
      await train({ ...toys, model }, { ...FLAGS, 'base-weights': 'f32' }),
      await train({ ...toys, model }, { ...FLAGS, 'base-weights': 'as-stored' }),
    ];
    expect(resting.losses).toEqual(wide.losses);
    expect(await idsOf(wide.run, '<ticket>')).toEqual([first + 1]);
    const again = await exported(wide.run, 'gguf', '--quant', 'f32');
    const file = path.join(again, `${path.basename(wide.run)}-f32.gguf`);
    expect((await lossOf(file)) / (await lossOf(wide.run))).toBeCloseTo(1, 5);
  }, 180_000);

  test('are told apart where answers of the base are kept', async () => {
    const { run: other } = await train(toys, { ...FLAGS, 'add-tokens': '<other>', steps: 1 });
    const kept = path.join(toys.folder, 'kept');
    const losses = [];
    for (const one of [run, other]) {
      const adapter = path.join(one, 'best');
      const subject = await openSubject({ path: toys.model, adapter, run: one, compute: { threads: 1 } }, kept);
      const task = { kind: 'text', name: 'general text', items: ['An <order> came.'] } as const;
      losses.push(await subject.base().answer(task, new AbortController().signal, () => {}));
      await subject.close();
    }
    expect(losses[0]).not.toEqual(losses[1]);
  });

  test('takes a file with one on each line', async () => {
    const file = path.join(toys.folder, 'tokens.txt');
    writeFileSync(file, '<order>\r\na, b\n');
    const { run: own } = await train(toys, { ...FLAGS, 'add-tokens': file, steps: 1 });
    expect(await idsOf(own, 'a, b<order>')).toEqual([first + 1, first]);
  });

  test('has rows that a model has beyond its tokenizer', async () => {
    const model = writeTinyChatModel(path.join(toys.folder, 'padded'), { vocab_size: first + 2 });
    const { run: own } = await train({ ...toys, model }, FLAGS);
    const out = await exported(own, 'safetensors', '--quant', 'f32');
    expect(openModelSource(out).config.vocabSize).toBe(first + 3);
    expect((await lossOf(out)) / (await lossOf(own))).toBeCloseTo(1, 5);
  });

  test('holds for DoRA and beside a KL to the start', async () => {
    const { losses } = await train(toys, { ...FLAGS, weights: 'dora', 'kl-weight': 0.5, ema: 0.9 });
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  });
});

describe('refused are', () => {
  test.each([
    [{ 'add-tokens': '<order>,,<ticket>' }, /TOKEN_ADDED "" is empty/],
    [{ 'add-tokens': '<order>,<order>' }, /TOKEN_ADDED "<order>" stands twice/],
    [{ 'add-tokens': '<|im_end|>' }, /TOKEN_ADDED "<\|im_end\|>" is a token of the model already/],
    [{ 'add-tokens': 'Straße' }, /TOKEN_ADDED "Straße" would be written as "Stra.e"/],
    [{ weights: 'full' }, /CLI_OPTION_CONFLICT --add-tokens has no effect on weights full/],
    [{ weights: 'ia3' }, /CLI_OPTION_CONFLICT --add-tokens has no effect on weights ia3/],
    [{ 'modules-to-save': 'embed_tokens' }, /ADAPTER_UNSUPPORTED model.embed_tokens.weight trains in full/],
  ] as const)('%j', async (flags, message) => {
    const { exit, stderr } = await cli(trainArgs(toys, 'refused', { ...FLAGS, ...(flags as Flags) }));
    expect(stderr).toMatch(message);
    expect(exit).toBe(2);
  });

  test('tokens for a classifier, and beside an adapter that brings its own', async () => {
    const labelled = writeRows(
      path.join(toys.folder, 'labelled.jsonl'),
      ['a', 'b', 'a', 'b'].map((label, i) => ({ text: `Hello ${i}`, label })),
    );
    for (const [flags, message] of [
      [{ method: 'classify', data: labelled }, /CLI_OPTION_CONFLICT new tokens have no place in --method classify/],
      [{ 'init-adapter': path.join(run, 'last') }, /CLI_OPTION_CONFLICT .*the adapter brings its own/],
    ] as const) {
      const { exit, stderr } = await cli(trainArgs(toys, 'refused', { ...FLAGS, ...flags }));
      expect(stderr).toMatch(message);
      expect(exit).toBe(2);
    }
  });

  test('exports that cannot say it, and strengths', async () => {
    for (const args of [
      ['--to', 'gguf-adapter'],
      ['--to', 'safetensors', '--strength', '0.5'],
    ]) {
      const { exit, stderr } = await cli(['export', run, '--out', path.join(toys.folder, 'no'), ...args]);
      expect(stderr).toMatch(/EXPORT_UNSUPPORTED .*token_adapter|ADAPTER_STRENGTH .*rows of tokens/);
      expect(exit).toBe(2);
    }
  });
});
