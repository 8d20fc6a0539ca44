import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { main } from '../../src/cli/run.ts';
import { type Called, linesOf } from '../support/cli.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { type Interference, openToyHub, TOY_COMMIT, type ToyHub, type ToyRepo } from '../support/toy-hub.ts';

// The commands against a hub of our own over real HTTP: what people meet between them and a model.
const WEIGHTS = Buffer.alloc(60_000, 3).map((_, i) => i % 251);
const CONFIG = JSON.stringify({
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  vocab_size: 64,
});
const PLAIN: ToyRepo = {
  files: {
    '.gitattributes': 'x',
    'README.md': 'a card',
    'config.json': CONFIG,
    'tokenizer.json': '{}',
    'model.safetensors': WEIGHTS,
    'pytorch_model.bin': WEIGHTS,
    'model.fp16.safetensors': WEIGHTS,
    'onnx/model.onnx': WEIGHTS,
  },
  licence: 'apache-2.0',
  branches: ['refs/pr/1'],
};
const SHARDS = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };
const SHARDED: ToyRepo = {
  files: {
    'config.json': CONFIG,
    'model.safetensors.index.json': JSON.stringify({ weight_map: SHARDS }),
    [SHARDS.a]: WEIGHTS,
    [SHARDS.b]: WEIGHTS.subarray(7),
    'model-00001-of-00003.safetensors': WEIGHTS.subarray(9),
  },
};
const GGUFS: ToyRepo = {
  files: {
    'm-Q4_K_M.gguf': WEIGHTS,
    'm-Q8_0.gguf': WEIGHTS.subarray(1),
    'mmproj-m.gguf': WEIGHTS.subarray(2),
    'big-00001-of-00002.gguf': WEIGHTS.subarray(3),
    'deep/m-F16.gguf': WEIGHTS.subarray(4),
  },
};

let root: string;
let hub: ToyHub | undefined;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'tunesmith-hub-'));
});
afterEach(async () => {
  await hub?.close();
  hub = undefined;
  rmSync(root, { recursive: true, force: true });
});

interface Doings {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

async function tunesmith(args: readonly string[], { env = {}, signal }: Doings = {}): Promise<Called> {
  const written = { out: '', err: '' };
  const sink = (to: 'out' | 'err') => ({
    write: (text: string) => {
      written[to] += text;
    },
  });
  const exit = await main([...args, '--json'], {
    stdout: sink('out'),
    stderr: sink('err'),
    env: {
      TUNESMITH_HOME: path.join(root, 'home'),
      HF_HOME: path.join(root, 'hf'),
      HF_ENDPOINT: hub?.url ?? 'http://127.0.0.1:1',
      ...env,
    },
    signal: signal ?? new AbortController().signal,
  });
  return { exit, lines: linesOf(written.out), stderr: written.err };
}

const open = async (repos: Readonly<Record<string, ToyRepo>>, interfere?: Parameters<typeof openToyHub>[1]) => {
  hub = await openToyHub(repos, interfere);
  return hub;
};
const modelsFolder = () => path.join(root, 'home', 'models');
const cached = () => (existsSync(modelsFolder()) ? readdirSync(modelsFolder()) : []);
const doneAt = ({ lines, stderr }: Called): string => {
  const done = lines.find(({ type }) => type === 'done');
  expect(done, stderr).toBeDefined();
  return String(done?.path);
};

/** Cuts the first `times` answers of the storage in the middle. */
const cutting =
  (times: number): Interference =>
  (request, response, count) => {
    if (count > times) return false;
    const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
    const range = `bytes ${from}-${WEIGHTS.length - 1}/${WEIGHTS.length}`;
    const headers = { 'content-length': WEIGHTS.length - from, 'content-range': range };
    response.writeHead(from > 0 ? 206 : 200, headers);
    response.write(WEIGHTS.subarray(from, from + 10_000), () => setTimeout(() => response.destroy(), 20));
    return true;
  };

describe('pull', () => {
  test('brings the files that are needed, of all pages, and no token to the storage', async () => {
    const { asked } = await open({ 'toy/plain': PLAIN });
    const called = await tunesmith(['pull', 'toy/plain'], { env: { HF_TOKEN: 'secret' } });
    const folder = doneAt(called);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'source.json', 'tokenizer.json']);
    expect(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
    expect(called.lines.find(({ type }) => type === 'source')).toMatchObject({ licence: 'apache-2.0', gated: false });
    expect(called.lines.find(({ type }) => type === 'source')).toMatchObject({ commit: TOY_COMMIT });
    const tokens = (host: string) => new Set(asked.filter((one) => one.host === host).map(({ token }) => token));
    expect(tokens('hub')).toEqual(new Set(['Bearer secret']));
    expect(tokens('storage')).toEqual(new Set([undefined]));
    const before = asked.length;
    expect((await tunesmith(['pull', 'toy/plain'])).lines.at(-1)).toMatchObject({ type: 'done', cached: true });
    expect(asked.length).toBe(before);
  });

  test('takes the token that a login has written, and a revision with a slash', async () => {
    await open({ 'toy/gated': { ...PLAIN, gate: 'from-login' } });
    mkdirSync(path.join(root, 'hf'));
    writeFileSync(path.join(root, 'hf', 'token'), 'from-login\n');
    const called = await tunesmith(['pull', 'toy/gated@refs/pr/1']);
    expect(path.basename(doneAt(called))).toBe('toy--gated@refs%2Fpr%2F1');
    expect(called.lines.find(({ type }) => type === 'source')).toMatchObject({ gated: true });
  });

  test('goes on where a connection broke, within a call and in the next', async () => {
    const { asked } = await open({ 'toy/plain': PLAIN }, { storage: cutting(2) });
    const folder = doneAt(await tunesmith(['pull', 'toy/plain']));
    expect(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
    const ranges = asked.filter(({ host }) => host === 'storage').map(({ range }) => range);
    expect(ranges).toEqual([undefined, 'bytes=10000-', 'bytes=20000-']);
  });

  test('fetches the shards that the index names, and refuses an index with more than there are', async () => {
    const { [SHARDS.b]: _, ...rest } = SHARDED.files;
    await open({ 'toy/sharded': SHARDED, 'toy/lacking': { files: rest } });
    const folder = doneAt(await tunesmith(['pull', 'toy/sharded']));
    expect(readdirSync(folder).filter((name) => name.endsWith('.safetensors'))).toEqual([SHARDS.a, SHARDS.b]);
    const { exit, stderr } = await tunesmith(['pull', 'toy/lacking']);
    expect(exit).toBe(2);
    expect(stderr).toContain(`SAFETENSORS_INDEX toy/lacking lacks ${SHARDS.b}`);
    expect(cached()).toEqual(['toy--sharded']);
  });

  test('takes a named GGUF file, and names them with their sizes where none is named', async () => {
    await open({ 'toy/ggufs': GGUFS, 'toy/one': { files: { 'only.gguf': WEIGHTS } } });
    const { exit, stderr } = await tunesmith(['pull', 'toy/ggufs']);
    expect(exit).toBe(2);
    expect(stderr).toContain(
      'MODEL_FILE_CHOICE toy/ggufs holds 2 GGUF files: m-Q4_K_M.gguf (1 MB), m-Q8_0.gguf (1 MB).',
    );
    expect(stderr).toContain('such as toy/ggufs:m-Q4_K_M.gguf');
    expect(cached()).toEqual([]);
    const named = doneAt(await tunesmith(['pull', 'toy/ggufs:deep/m-F16.gguf']));
    expect(named).toBe(path.join(modelsFolder(), 'toy--ggufs%3Adeep%2Fm-F16.gguf', 'm-F16.gguf'));
    expect(path.basename(doneAt(await tunesmith(['pull', 'toy/one'])))).toBe('only.gguf');
    expect((await tunesmith(['pull', 'toy/ggufs:m-Q9_0.gguf'])).stderr).toContain(
      'did you mean toy/ggufs:m-Q8_0.gguf?',
    );
  });

  test.each<[string, ToyRepo | undefined, string, Readonly<Record<string, string>>, string, string[]]>([
    ['a gate without a token', { ...PLAIN, gate: 'x' }, 'toy/repo', {}, 'MODEL_GATED', ['/toy/repo', 'HF_TOKEN']],
    [
      'a gate that is closed to the token',
      { ...PLAIN, gate: 'x' },
      'toy/repo',
      { HF_TOKEN: 'y' },
      'MODEL_GATED',
      ['that account'],
    ],
    ['a repository that is not there', undefined, 'toy/repo', {}, 'MODEL_NOT_FOUND', ['no model toy/repo']],
    ['a misspelt id', undefined, 'toy/SmolLM2-360M-Instuct', {}, 'MODEL_NOT_FOUND', ['mean smollm2-360m-instruct?']],
    ['a revision that is not there', PLAIN, 'toy/repo@v9', {}, 'MODEL_NOT_FOUND', ['no revision v9']],
    [
      'weights that may hold code',
      { files: { 'config.json': CONFIG, 'pytorch_model.bin': WEIGHTS } },
      'toy/repo',
      {},
      'MODEL_NOT_FOUND',
      ['pickled'],
    ],
    ['an adapter', { files: { 'adapter_config.json': '{}' } }, 'toy/repo', {}, 'MODEL_NOT_FOUND', ['--adapter']],
    [
      'an unknown architecture',
      { files: { ...PLAIN.files, 'config.json': CONFIG.replace('"llama"', '"mixtral"') } },
      'toy/repo',
      {},
      'MODEL_UNSUPPORTED',
      ['toy/repo/config.json', 'the nearest is mistral'],
    ],
  ])('refuses %s and leaves nothing', async (_what, repo, name, env, code, says) => {
    const { asked } = await open(repo === undefined ? {} : { 'toy/repo': repo });
    const { exit, stderr } = await tunesmith(['pull', name], { env });
    expect(exit, stderr).toBe(2);
    expect(stderr).toContain(code);
    for (const words of says) expect(stderr).toContain(words);
    expect(cached()).toEqual([]);
    expect(asked.filter(({ host }) => host === 'storage')).toEqual([]);
  });

  test('refuses files that are not what the hub lists, and keeps none of them', async () => {
    await open(
      { 'toy/plain': PLAIN },
      { storage: (_req, res) => Boolean(res.writeHead(200).end(WEIGHTS.map((b) => b ^ 1))) },
    );
    const { exit, stderr } = await tunesmith(['pull', 'toy/plain']);
    expect(exit).toBe(1);
    expect(stderr).toContain('DOWNLOAD_CHECKSUM');
    expect(cached()).toEqual([]);
  });

  test('waits for a busy hub and a busy storage, and says so', async () => {
    const busy: Interference = (_request, response, count) =>
      count === 1 && Boolean(response.writeHead(429, { 'retry-after': '0' }).end());
    await open({ 'toy/plain': PLAIN }, { hub: busy, storage: busy });
    const called = await tunesmith(['pull', 'toy/plain']);
    doneAt(called);
    expect(called.lines.filter(({ type }) => type === 'waiting')).toHaveLength(2);
    expect(called.stderr).toContain('answered 429');
  });

  test('says that the hub cannot be reached', async () => {
    const { exit, stderr } = await tunesmith(['pull', 'toy/plain'], { env: { HF_ENDPOINT: 'http://127.0.0.1:1' } });
    expect(exit).toBe(1);
    expect(stderr).toContain('DOWNLOAD_UNREACHABLE 127.0.0.1:1 cannot be reached');
    expect(cached()).toEqual([]);
  });

  test.each([
    [{ HF_ENDPOINT: 'no address' }, 1, 'DOWNLOAD_UNREACHABLE no address is no address of a hub'],
    [{ HF_TOKEN: 'sec ret\nX: y' }, 2, 'DOWNLOAD_REFUSED the given token'],
  ])('refuses %j without repeating a secret', async (env, code, says) => {
    await open({ 'toy/plain': PLAIN });
    const { exit, stderr } = await tunesmith(['pull', 'toy/plain'], { env });
    expect(exit).toBe(code);
    expect(stderr).toContain(says);
    expect(stderr).not.toContain('ret');
    expect(cached()).toEqual([]);
  });

  test('fetches nothing where the disk has no room for all of it', async () => {
    const huge: Interference = (request, response) => {
      if (!request.url?.includes('/tree/')) return false;
      const lfs = { oid: '0'.repeat(64), size: 1e18 };
      const entry = { type: 'file', path: 'model.safetensors', size: 130, oid: '0'.repeat(40), lfs };
      return Boolean(response.writeHead(200).end(JSON.stringify([entry])));
    };
    const { asked } = await open({ 'toy/plain': PLAIN }, { hub: huge });
    const { exit, stderr } = await tunesmith(['pull', 'toy/plain']);
    expect(exit).toBe(1);
    expect(stderr).toContain('DISK_FULL');
    expect(asked.map((one) => one.path).some((url) => url.includes('/resolve/'))).toBe(false);
    expect(cached()).toEqual([]);
  });

  test('brings a file of the cache again that has lost its end', async () => {
    await open({ 'toy/plain': PLAIN });
    const weights = path.join(doneAt(await tunesmith(['pull', 'toy/plain'])), 'model.safetensors');
    writeFileSync(weights, WEIGHTS.subarray(0, 100));
    const called = await tunesmith(['pull', 'toy/plain']);
    expect(called.lines.at(-1)).toMatchObject({ type: 'done', cached: false });
    expect(readFileSync(weights).equals(WEIGHTS)).toBe(true);
  });

  test('goes on in the next call after Ctrl-C', async () => {
    const stop = new AbortController();
    const { asked } = await open(
      { 'toy/plain': PLAIN },
      {
        storage: (request, response, count) => {
          if (count > 1) return false;
          setTimeout(() => stop.abort(new Error('interrupted')), 300);
          response.writeHead(200, { 'content-length': WEIGHTS.length });
          return response.write(WEIGHTS.subarray(0, 5000)) || request.readable || true;
        },
      },
    );
    expect((await tunesmith(['pull', 'toy/plain'], { signal: stop.signal })).exit).toBe(130);
    doneAt(await tunesmith(['pull', 'toy/plain']));
    expect(asked.at(-1)?.range).toBe('bytes=5000-');
  });

  test('lets one process pull where two want to', async () => {
    const { asked } = await open({ 'toy/plain': PLAIN });
    const both = await Promise.all([tunesmith(['pull', 'toy/plain']), tunesmith(['pull', 'toy/plain'])]);
    expect(both.map(doneAt)).toHaveLength(2);
    expect(asked.filter(({ host }) => host === 'storage')).toHaveLength(1);
    expect(cached()).toEqual(['toy--plain']);
  });
});

describe('offline', () => {
  test.each([
    [['--offline'], {}],
    [[], { HF_HUB_OFFLINE: '1' }],
  ])('asks nothing of the network with %j and %j', async (flags, env) => {
    const { asked } = await open({ 'toy/plain': PLAIN });
    const refused = await tunesmith(['pull', 'toy/plain', ...flags], { env });
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toContain('MODEL_OFFLINE toy/plain');
    expect(asked).toEqual([]);
    await tunesmith(['pull', 'toy/plain']);
    expect((await tunesmith(['pull', 'toy/plain', ...flags], { env })).exit).toBe(0);
  });

  test('names the GGUF files that other tools have of a repository', async () => {
    const folder = path.join(root, 'hf', 'hub', 'models--toy--ggufs');
    mkdirSync(path.join(folder, 'refs'), { recursive: true });
    mkdirSync(path.join(folder, 'snapshots', TOY_COMMIT), { recursive: true });
    writeFileSync(path.join(folder, 'refs', 'main'), TOY_COMMIT);
    writeFileSync(path.join(folder, 'snapshots', TOY_COMMIT, 'm-Q8_0.gguf'), 'GGUF');
    expect((await tunesmith(['pull', 'toy/ggufs', '--offline'])).stderr).toContain('toy/ggufs:m-Q8_0.gguf');
    const found = await tunesmith(['pull', 'toy/ggufs:m-Q8_0.gguf', '--offline']);
    expect(doneAt(found)).toBe(path.join(folder, 'snapshots', TOY_COMMIT, 'm-Q8_0.gguf'));
  });
});

test('train pulls the model that it names, once', async () => {
  const model = writeTinyChatModel(path.join(root, 'model'));
  const files = Object.fromEntries(readdirSync(model).map((name) => [name, readFileSync(path.join(model, name))]));
  await open({ 'toy/chat': { files, licence: 'mit' } });
  const row = (n: number) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `Hi ${n}` },
        { role: 'assistant', content: 'Ho' },
      ],
    });
  writeFileSync(path.join(root, 'rows.jsonl'), `${row(1)}\n${row(2)}\n`);
  const flags = [
    '--data',
    path.join(root, 'rows.jsonl'),
    '--valid',
    'none',
    '--steps',
    '1',
    '--batch',
    '2',
    '--threads',
    '1',
  ];
  const args = ['train', '--model', 'toy/chat', ...flags, '--out', path.join(root, 'runs')];
  const { exit, stderr, lines } = await tunesmith(args);
  expect(exit, stderr).toBe(0);
  expect(stderr).toMatch(/Pulling toy\/chat from hub toy\/chat: .* kB, licence mit\./);
  const best = String(lines.findLast(({ type, best }) => type === 'done' && best !== undefined)?.best);
  expect(JSON.parse(readFileSync(path.join(best, 'adapter_config.json'), 'utf8'))).toMatchObject({
    base_model_name_or_path: 'toy/chat',
  });
  const again = await tunesmith([...args, '--offline']);
  expect(again.exit, again.stderr).toBe(0);
  expect(again.stderr).not.toContain('Pulling');
});
