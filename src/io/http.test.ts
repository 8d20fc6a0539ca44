import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Loopback, openLoopback, sendRange } from '../../test/support/loopback.ts';
import { type Digest, download, request } from './http.ts';

const BODY = new Uint8Array(300_000).map((_, i) => (i * 31 + (i >> 8)) % 251);
const digest: Digest = { kind: 'sha256', hex: createHash('sha256').update(BODY).digest('hex') };

let folder: string;
let path: string;
let server: Loopback | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-http-'));
  path = join(folder, 'deep', 'model.bin');
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe('download', () => {
  it('leaves the verified file and nothing beside it', async () => {
    server = await openLoopback((req, res) => sendRange(req, res, BODY));
    const seen: number[] = [];
    const got = await download({ url: `${server.url}/f`, path, digest, onProgress: (bytes) => seen.push(bytes) });
    expect(got).toEqual({ sha256: digest.hex, bytes: BODY.length });
    expect(readFileSync(path).equals(BODY)).toBe(true);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['model.bin']);
    expect(seen.at(-1)).toBe(BODY.length);
    await download({ url: `${server.url}/f`, path, digest });
    expect(server.requests.length).toBe(1);
  });

  it('takes a cut connection up where it broke off', async () => {
    server = await openLoopback((req, res, count) => {
      if (count > 1) return sendRange(req, res, BODY);
      res.writeHead(200, { 'content-length': BODY.length, etag: '"one"' });
      res.write(BODY.subarray(0, 100_000), () => setTimeout(() => res.destroy(), 50));
      return undefined;
    });
    await download({ url: `${server.url}/f`, path, digest });
    expect(readFileSync(path).equals(BODY)).toBe(true);
    expect(server.requests[1]?.range).toBe('bytes=100000-');
  });

  it('takes up what an earlier process left', async () => {
    server = await openLoopback((req, res) => sendRange(req, res, BODY));
    path = join(folder, 'model.bin');
    writeFileSync(`${path}.part`, BODY.subarray(0, 5));
    await download({ url: `${server.url}/f`, path, digest });
    expect(server.requests.map((r) => r.range)).toEqual(['bytes=5-']);
    expect(readFileSync(path).equals(BODY)).toBe(true);
  });

  it('starts anew where the server knows no ranges', async () => {
    server = await openLoopback((_req, res) => {
      res.writeHead(200, { 'content-length': BODY.length }).end(BODY);
    });
    path = join(folder, 'model.bin');
    writeFileSync(`${path}.part`, new Uint8Array(70));
    await download({ url: `${server.url}/f`, path, digest });
    expect(readFileSync(path).equals(BODY)).toBe(true);
  });

  it('starts anew where the part is longer than the file', async () => {
    server = await openLoopback((req, res) => sendRange(req, res, BODY));
    path = join(folder, 'model.bin');
    writeFileSync(`${path}.part`, new Uint8Array(BODY.length + 7));
    await download({ url: `${server.url}/f`, path, digest });
    expect(readFileSync(path).equals(BODY)).toBe(true);
  });

  it('refuses a wrong checksum and keeps nothing of it', async () => {
    server = await openLoopback((req, res) =>
      sendRange(
        req,
        res,
        BODY.map((b) => b ^ 1),
      ),
    );
    await expect(download({ url: `${server.url}/f`, path, digest })).rejects.toMatchObject({
      code: 'DOWNLOAD_CHECKSUM',
    });
    expect(readdirSync(join(folder, 'deep'))).toEqual([]);
  });

  it('stops at the known size when the server sends without end', async () => {
    server = await openLoopback((_req, res) => {
      const more = () => res.write(BODY, () => !res.destroyed && setImmediate(more));
      res.writeHead(200);
      more();
    });
    const endless = download({ url: `${server.url}/f`, path, digest, bytes: 1_000 });
    await expect(endless).rejects.toMatchObject({ code: 'DOWNLOAD_CHECKSUM' });
  });

  it('gives up a server that always breaks off, and keeps what came', async () => {
    server = await openLoopback((_req, res) => {
      res.writeHead(200, { 'content-length': BODY.length });
      res.write(BODY.subarray(0, 10), () => setTimeout(() => res.destroy(), 10));
    });
    const cut = download({ url: `${server.url}/f`, path, digest, retries: 1 });
    await expect(cut).rejects.toMatchObject({ code: 'DOWNLOAD_CUT' });
    expect(existsSync(path)).toBe(false);
  });

  it('counts a transfer that stands still as cut', async () => {
    server = await openLoopback((req, res, count) => {
      if (count > 1) return sendRange(req, res, BODY);
      res.writeHead(200, { 'content-length': BODY.length });
      res.write(BODY.subarray(0, 10));
      return undefined;
    });
    await download({ url: `${server.url}/f`, path, digest, stallAfter: 150 });
    expect(readFileSync(path).equals(BODY)).toBe(true);
  });

  it('ends with the reason of its signal, and the next call goes on', async () => {
    const stop = new AbortController();
    server = await openLoopback((req, res, count) => {
      if (count > 1) return sendRange(req, res, BODY);
      res.writeHead(200, { 'content-length': BODY.length });
      res.write(BODY.subarray(0, 1_000), () => setTimeout(() => stop.abort(new Error('ctrl-c')), 50));
      return undefined;
    });
    await expect(download({ url: `${server.url}/f`, path, digest, signal: stop.signal })).rejects.toThrow('ctrl-c');
    await download({ url: `${server.url}/f`, path, digest });
    expect(server.requests[1]?.range).toBe('bytes=1000-');
  });
});

describe('request', () => {
  it('gives up a host that does not answer in time', async () => {
    server = await openLoopback(() => {});
    const silent = request(server.url, { reachWithin: 100 });
    await expect(silent).rejects.toMatchObject({
      code: 'DOWNLOAD_UNREACHABLE',
      message: expect.stringContaining('0.1 seconds'),
    });
  });

  it('says that nothing listens', async () => {
    await expect(request('http://127.0.0.1:9/')).rejects.toMatchObject({ code: 'DOWNLOAD_UNREACHABLE' });
  });

  it('says what was answered, and names HF_TOKEN where the server wants to know who asks', async () => {
    server = await openLoopback((_req, res) => void res.writeHead(403).end());
    await expect(request(server.url)).rejects.toMatchObject({
      code: 'DOWNLOAD_REFUSED',
      message: expect.stringMatching(/403.*HF_TOKEN/),
    });
  });

  it('waits as long as a busy server says', async () => {
    server = await openLoopback((_req, res, count) => {
      if (count === 1) return res.writeHead(429, { 'retry-after': '1' }).end();
      return count === 2 ? res.writeHead(503).end() : res.writeHead(200).end('{}');
    });
    const busy: unknown[] = [];
    const start = performance.now();
    const response = await request(server.url, { backoff: 10, onBusy: (event) => busy.push(event) });
    expect(response.status).toBe(200);
    expect(performance.now() - start).toBeGreaterThan(990);
    expect(busy).toEqual([
      { status: 429, seconds: 1 },
      { status: 503, seconds: 0.02 },
    ]);
  });

  it('gives up a server that stays busy, at once if it is to be left alone for long', async () => {
    server = await openLoopback((_req, res) => void res.writeHead(500).end());
    await expect(request(server.url, { backoff: 1 })).rejects.toMatchObject({ code: 'DOWNLOAD_BUSY' });
    expect(server.requests.length).toBe(5);
    await server.close();
    const later = new Date(Date.now() + 3_600_000).toUTCString();
    server = await openLoopback((_req, res) => void res.writeHead(429, { 'retry-after': later }).end());
    await expect(request(server.url)).rejects.toMatchObject({
      code: 'DOWNLOAD_BUSY',
      message: expect.stringMatching(/asked again in 3[56]\d\d seconds/),
    });
    expect(server.requests.length).toBe(1);
  });

  it('stops waiting when it is told to', async () => {
    server = await openLoopback((_req, res) => void res.writeHead(429, { 'retry-after': '60' }).end());
    const stop = new AbortController();
    const waiting = request(server.url, { signal: stop.signal, onBusy: () => stop.abort() });
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });
});
