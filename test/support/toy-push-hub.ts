import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Loopback, openLoopback } from './loopback.ts';

/** A repository that was pushed to. */
export interface PushedRepo {
  readonly isPrivate: boolean;
  readonly files: Map<string, Buffer>;
  readonly summaries: string[];
}

/** The writing side of a small hub: repositories, Git LFS on a host of its own, and commits of one request. */
export interface ToyPushHub {
  readonly url: string;
  readonly repos: Map<string, PushedRepo>;
  /** What was asked: method and path, and the token that came with it. */
  readonly asked: { readonly host: 'hub' | 'storage'; readonly what: string; readonly token: string | undefined }[];
  close(): Promise<void>;
}

/** What is odd about the hub. */
export interface PushQuirks {
  /** Files from this size on go by Git LFS (default 1000). */
  readonly large?: number;
  /** Large files are sent in parts of this size. */
  readonly chunk?: number;
  /** The only token that may write (default `writer`). */
  readonly token?: string;
  /** The storage drops what it gets. */
  readonly forgets?: boolean;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

interface Stores {
  readonly repos: ToyPushHub['repos'];
  readonly blobs: Map<string, Buffer>;
  readonly parts: Map<string, Buffer>;
}

/** Opens one. */
export async function openToyPushHub(quirks: PushQuirks = {}): Promise<ToyPushHub> {
  const stores: Stores = { repos: new Map(), blobs: new Map(), parts: new Map() };
  const asked: ToyPushHub['asked'] = [];
  const note = (host: 'hub' | 'storage', { method, url, headers }: IncomingMessage) =>
    asked.push({ host, what: `${method} ${url}`, token: headers.authorization });
  const storage = await openLoopback(async (request, response) => {
    note('storage', request);
    const bytes = await bodyOf(request);
    const name = (request.url ?? '').slice(1);
    if (quirks.forgets !== true) (name.includes('/') ? stores.parts : stores.blobs).set(name, bytes);
    const isWhole = request.headers['content-length'] === String(bytes.length);
    response.writeHead(isWhole ? 200 : 411, { etag: `"${sha256(bytes).slice(0, 8)}"` }).end();
  });
  const hub: Loopback = await openLoopback(async (request, response) => {
    note('hub', request);
    const body = await bodyOf(request);
    const isKnown = request.headers.authorization === `Bearer ${quirks.token ?? 'writer'}`;
    if (isKnown)
      answer(request.url ?? '', body.toString(), response, { ...stores, quirks, hub: hub.url, storage: storage.url });
    else refuse(response, 403, 'You may not write here');
  });
  return {
    url: hub.url,
    repos: stores.repos,
    asked,
    close: async () => void (await Promise.all([hub.close(), storage.close()])),
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

const refuse = (response: ServerResponse, status: number, words: string) =>
  void response.writeHead(status, { 'x-error-message': words }).end();
const reply = (response: ServerResponse, value: unknown) => void response.writeHead(200).end(JSON.stringify(value));

type Around = Stores & { readonly quirks: PushQuirks; readonly hub: string; readonly storage: string };

function answer(path: string, body: string, response: ServerResponse, around: Around): unknown {
  const { repos, blobs, parts, quirks } = around;
  const [, committed] = /^\/api\/models\/([^/]+\/[^/]+)\/commit\/main$/.exec(path) ?? [];
  if (committed !== undefined) return commit(committed, body, response, around);
  const given = JSON.parse(body) as Record<string, unknown>;
  if (path === '/api/repos/create') {
    const repo = `${String(given.organization)}/${String(given.name)}`;
    if (repos.has(repo)) return refuse(response, 409, 'You already created this model repo');
    repos.set(repo, { isPrivate: given.private === true, files: new Map(), summaries: [] });
    return reply(response, { url: repo });
  }
  if (path.endsWith('/preupload/main')) {
    const files = given.files as { path: string; size: number; sample: string }[];
    const mode = (size: number) => (size >= (quirks.large ?? 1000) ? 'lfs' : 'regular');
    return reply(response, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.size) })) });
  }
  if (path.endsWith('/info/lfs/objects/batch')) {
    const objects = given.objects as { oid: string; size: number }[];
    return reply(response, { objects: objects.map((object) => placeFor(object, around)) });
  }
  const [, whole] = /^\/complete\/(\w+)$/.exec(path) ?? [];
  if (whole !== undefined) {
    const sent = given.parts as { partNumber: number; etag: string }[];
    blobs.set(whole, Buffer.concat(sent.map(({ partNumber }) => parts.get(`${whole}/${partNumber}`)!)));
    return reply(response, {});
  }
  if (path === '/verify' && blobs.has(String(given.oid))) return reply(response, {});
  return refuse(response, 404, 'Nothing is there');
}

function placeFor({ oid, size }: { oid: string; size: number }, { blobs, quirks, hub, storage }: Around): unknown {
  if (blobs.has(oid)) return { oid, size };
  const verify = { href: `${hub}/verify` };
  const { chunk } = quirks;
  if (chunk === undefined) return { oid, size, actions: { upload: { href: `${storage}/${oid}` }, verify } };
  const count = Math.ceil(size / chunk);
  const places = Array.from({ length: count }, (_, i) => [`0000${i + 1}`, `${storage}/${oid}/${i + 1}`]);
  const header = { chunk_size: String(chunk), ...Object.fromEntries(places) };
  return { oid, size, actions: { upload: { href: `${hub}/complete/${oid}`, header }, verify } };
}

function commit(name: string, body: string, response: ServerResponse, { repos, blobs }: Around): unknown {
  const repo = repos.get(name);
  if (repo === undefined) return refuse(response, 404, 'Repository not found');
  for (const line of body.split('\n')) {
    const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
    if (key === 'header') repo.summaries.push(value.summary!);
    if (key === 'file') repo.files.set(value.path!, Buffer.from(value.content!, 'base64'));
    if (key !== 'lfsFile') continue;
    const blob = blobs.get(value.oid!);
    if (blob === undefined || sha256(blob) !== value.oid) return refuse(response, 400, `${value.path} has no content`);
    repo.files.set(value.path!, blob);
  }
  reply(response, { commitOid: 'c0ffee', commitUrl: `/${name}/commit/c0ffee` });
}
