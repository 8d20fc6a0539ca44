import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from './config.ts';
import { type ConfigFile, findConfig, readConfig } from './config-file.ts';
import { configFlags, configOptions } from './fields.ts';

const DATA = { model: 'm', data: ['d.jsonl'] };
const file = (value: Record<string, unknown>): ConfigFile => ({ file: 'c.json', value, lineOf: () => 7 });

/** All messages of what is thrown, one or several. */
function faults(flags: Parameters<typeof resolveConfig>[0], config?: ConfigFile): string {
  try {
    resolveConfig(flags, config);
  } catch (error) {
    return error instanceof AggregateError ? error.errors.map((e: Error) => e.message).join('\n') : String(error);
  }
  return 'nothing is wrong';
}

describe('configOptions', () => {
  it('offers the flags that other programs rely on', () => {
    const promised =
      'model data valid system format train-on max-length on-long role map shape allow init-adapter method weights rank alpha dropout targets layers ' +
      'rs-lora rank-pattern alpha-pattern init d-initial feedforward modules-to-save freeze ' +
      'epochs steps batch micro-batch lr schedule warmup decay min-lr optimizer weight-decay beta1 beta2 eps momentum nesterov ' +
      'parameter-scale lora-plus-ratio neftune-alpha router-loss clip pack shuffle seed patience ' +
      'out name save-every eval-every keep log device threads memory base-weights class-weights precision ' +
      'replay replay-ratio from-scratch vocab loss beta label-smoothing rpo-alpha cpo-alpha gamma group reward reward-head';
    expect(Object.keys(configOptions())).toEqual(expect.arrayContaining(promised.split(' ')));
  });

  it('takes type, default and description from the schema', () => {
    const options = configOptions();
    expect(options.rank).toMatchObject({
      type: 'integer',
      default: '16',
      description: expect.stringContaining('rank of the update BA'),
    });
    expect(options.lr).toMatchObject({ type: 'number' });
    expect(options.pack).toMatchObject({ type: 'boolean', negatable: true });
    expect(options.schedule?.choices).toEqual(['constant', 'linear', 'cosine', 'wsd', 'inverse-sqrt']);
    expect(options.weights?.choices).toEqual(['lora', 'dora', 'vera', 'ia3', 'full']);
    expect(configFlags().find((f) => f.flag === 'rank')?.kinds).toEqual(['lora', 'dora', 'vera']);
  });
});

describe('resolveConfig', () => {
  it('lays flags over the config over the defaults, and says where each value comes from', () => {
    const config = file({ data: 'd.jsonl', train: { lr: 0.5, batch: 4 }, weights: { kind: 'lora', rank: 4 } });
    const got = resolveConfig({ model: 'm', lr: 0.1, valid: '0.2', allow: 'A, B', pack: false }, config);
    expect(got.config.train).toMatchObject({ lr: 0.1, batch: 4, schedule: 'cosine', pack: false });
    expect(got.config.data).toMatchObject({ train: 'd.jsonl', valid: 0.2, allow: ['A', 'B'] });
    expect(got.config.weights).toMatchObject({ kind: 'lora', rank: 4, alpha: 32 });
    expect(got.origins).toMatchObject({
      model: 'flag --model',
      'train.lr': 'flag --lr',
      'train.batch': 'config c.json',
      'train.schedule': 'default',
      'weights.rank': 'config c.json',
      'weights.alpha': 'default',
    });
  });

  it('lets a flag choose another kind of weights, or steps in place of epochs', () => {
    const config = file({ ...DATA, weights: { kind: 'lora', rank: 4 }, train: { epochs: 3 } });
    const got = resolveConfig({ weights: 'full', steps: 5 }, config).config;
    expect(got.weights).toEqual({ kind: 'full', freeze: [] });
    expect([got.train.steps, got.train.epochs]).toEqual([5, undefined]);
  });

  it.each([
    [{ ...DATA, steps: 5, epochs: 1 }, /CLI_OPTION_CONFLICT --steps and --epochs/],
    [{ ...DATA, weights: 'full', rank: 8 }, /CLI_OPTION_CONFLICT --rank has no effect on weights full/],
    [{ ...DATA, 'init-adapter': 'a', rank: 8 }, /CLI_OPTION_CONFLICT --init-adapter and --rank/],
    [{ ...DATA, 'init-adapter': 'a', weights: 'full' }, /CLI_OPTION_CONFLICT --init-adapter and --weights/],
    [{ ...DATA, valid: 'none', patience: 3 }, /CLI_OPTION_CONFLICT --valid and --patience/],
    [{ ...DATA, valid: 'none', 'eval-every': 3 }, /CLI_OPTION_CONFLICT --valid and --eval-every/],
    [{ ...DATA, batch: 2, 'micro-batch': 4 }, /CLI_OPTION_CONFLICT --batch and --micro-batch/],
    [{ ...DATA, rank: 0 }, /CLI_OPTION_VALUE --rank 0/],
    [{ ...DATA, lr: -1 }, /CLI_OPTION_VALUE --lr -1/],
    [{ data: ['d'] }, /CLI_ARGUMENT no model/],
    [{ model: 'm' }, /CLI_ARGUMENT no training rows/],
  ])('refuses %j', (flags, message) => {
    expect(faults(flags)).toMatch(message);
    expect(faults(flags)).not.toContain('\n');
  });

  it('names the key of the config that is nearest, with its line, and all faults at once', () => {
    const config = file({ ...DATA, train: { learningRate: 1, lrr: 1, batch: 'x' }, weights: { kind: 'lora', rnk: 1 } });
    const text = faults({}, config);
    expect(text).toMatch(/CONFIG_KEY_UNKNOWN c\.json:7 train has no key lrr\. Fix: did you mean lr\?/);
    expect(text).toMatch(/CONFIG_KEY_UNKNOWN c\.json:7 train has no key learningRate/);
    expect(text).toMatch(/CONFIG_KEY_UNKNOWN c\.json:7 weights has no key rnk\. Fix: did you mean rank\?/);
    expect(text).toMatch(/CONFIG_VALUE c\.json:7 train\.batch "x"/);
  });

  it('points at the section that a misplaced key belongs to', () => {
    expect(faults({}, file({ ...DATA, lr: 1 }))).toMatch(/a config has no key lr\. Fix: did you mean train\.lr\?/);
    expect(faults({}, file({ ...DATA, weights: { kind: 'full', rank: 2 } }))).toMatch(/rank.*no effect/);
    expect(faults({}, file({ ...DATA, weights: { kind: 'ful' } }))).toMatch(/CONFIG_VALUE .*weights\.kind "ful"/);
    expect(faults({}, file({ model: 'm', data: { train: 3 } }))).toMatch(/CONFIG_VALUE .*data\.train 3/);
  });
});

describe('readConfig', () => {
  let folder: string;
  const put = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tunesmith-config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('reads JSON, YAML and TypeScript alike, with lines', async () => {
    const value = { model: 'm', train: { lr: 0.1 } };
    const json = await readConfig(
      put('a.json', '\ufeff{\r\n  "model": "m",\r\n  "train": {\r\n    "lr": 0.1\r\n  }\r\n}'),
    );
    const yaml = await readConfig(put('a.yaml', 'model: m\ntrain:\n  lr: 0.1\n'));
    const ts = await readConfig(
      put('a.ts', 'const lr: number = 0.1;\nexport default {\n  model: "m",\n  train: { lr },\n};\n'),
    );
    expect([json.value, yaml.value, ts.value]).toEqual([value, value, value]);
    expect([json.lineOf('train.lr'), yaml.lineOf('train.lr'), ts.lineOf('model')]).toEqual([4, 3, 3]);
    expect(yaml.lineOf('train.lrr')).toBe(3);
  });

  it('finds the config of a folder, and refuses to choose between two', () => {
    expect(findConfig(folder)).toBeUndefined();
    put('tunesmith.config.ts', '');
    expect(findConfig(folder)).toBe('tunesmith.config.ts');
    put('tunesmith.config.json', '{}');
    expect(() => findConfig(folder)).toThrow(/CONFIG_AMBIGUOUS/);
  });

  it.each([
    ['a.yaml', 'model: [m\n', /CONFIG_BROKEN .*a\.yaml:/],
    ['a.json', '{"model":', /FILE_NOT_JSON/],
    ['a.json', '[1]', /CONFIG_BROKEN/],
    ['a.ts', 'export default {', /CONFIG_BROKEN/],
    ['a.ts', 'export const x = 1;', /CONFIG_/],
    ['a.toml', 'x=1', /CONFIG_BROKEN/],
  ])('refuses %s with %j', async (name, text, message) => {
    await expect(readConfig(put(name, text)).then((c) => resolveConfig(DATA, c))).rejects.toThrow(message);
  });
});
