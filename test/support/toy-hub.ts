import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Loopback, openLoopback, sendRange } from './loopback.ts';

/** A repository of a toy hub; data sets are named `datasets/OWNER/NAME`. */
export interface ToyRepo {
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly licence?: string;
  /** The token that its gate lets pass. */
  readonly gate?: string;
  /** Branches besides main, each with the same files. */
  readonly branches?: readonly string[];
}

/** What a toy hub does before it answers; true if that was the answer. */
export type Interference = (request: IncomingMessage, response: ServerResponse, count: number) => boolean;

/** A small hub on the loopback interface: the listing in pages, large files by way of another host, gates, and the hub's error codes. */
export interface ToyHub {
  readonly url: string;
  /** What was asked of the hub, and of the host that holds the large files. */
  readonly asked: {
    readonly host: 'hub' | 'storage';
    readonly path: string;
    readonly token: string | undefined;
    readonly range: string | undefined;
  }[];
  close(): Promise<void>;
}

/** The commit that every branch of a toy repository is at. */
export const TOY_COMMIT = 'c0ffee'.padEnd(40, '0');

/** Files from this size on are stored elsewhere, as Git LFS does it. */
const LARGE = 1000;
/** Entries of a page of the listing. */
const PAGE = 2;

const bytesOf = (content: Uint8Array | string) => Buffer.from(content);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const gitHash = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/** Opens one. */
export async function openToyHub(
  repos: Readonly<Record<string, ToyRepo>>,
  interfere: { readonly hub?: Interference; readonly storage?: Interference } = {},
): Promise<ToyHub> {
  const asked: ToyHub['asked'] = [];
  const note = (host: 'hub' | 'storage', { url = '', headers }: IncomingMessage) => {
    asked.push({ host, path: url, token: headers.authorization, range: headers.range });
  };
  const storage = await openLoopback((request, response, count) => {
    note('storage', request);
    if (interfere.storage?.(request, response, count)) return;
    const [, name, file] = /^\/blobs\/(.+)\?file=(.+)$/.exec(request.url ?? '') ?? [];
    const content = repos[decodeURIComponent(name ?? '')]?.files[decodeURIComponent(file ?? '')];
    if (content === undefined) response.writeHead(404).end();
    else sendRange(request, response, bytesOf(content));
  });
  const hub: Loopback = await openLoopback((request, response, count) => {
    note('hub', request);
    if (interfere.hub?.(request, response, count)) return;
    answer(request, response, { repos, storage: storage.url, self: `http://${request.headers.host}` });
  });
  const close = async () => {
    await Promise.all([hub.close(), storage.close()]);
  };
  return { url: hub.url, asked, close };
}

interface Around {
  readonly repos: Readonly<Record<string, ToyRepo>>;
  readonly storage: string;
  readonly self: string;
}

function answer(request: IncomingMessage, response: ServerResponse, { repos, storage, self }: Around): unknown {
  const url = new URL(request.url ?? '', self);
  const refuse = (status: number, code: string) => response.writeHead(status, { 'x-error-code': code }).end();
  const [, api, name = '', kind, rest = ''] =
    /^\/(api\/models\/|api\/(?=datasets\/))?((?:datasets\/)?[^/]+\/[^/]+)\/(revision|tree|resolve)\/(.+)$/.exec(
      url.pathname,
    ) ?? [];
  const repo = repos[name];
  // The hub does not tell strangers what is private and what is not there.
  if (repo === undefined) return refuse(request.headers.authorization === undefined ? 401 : 404, 'RepoNotFound');
  if (api !== undefined && kind === 'revision') {
    const known = ['main', TOY_COMMIT, ...(repo.branches ?? [])].includes(decodeURIComponent(rest));
    if (!known) return refuse(404, 'RevisionNotFound');
    const info = {
      sha: TOY_COMMIT,
      gated: repo.gate === undefined ? false : 'manual',
      cardData: { license: repo.licence },
    };
    return response.writeHead(200).end(JSON.stringify(info));
  }
  if (api !== undefined) return sendPage(url, response, repo);
  const file = decodeURIComponent(rest.slice(TOY_COMMIT.length + 1));
  const content = repo.files[file];
  if (repo.gate !== undefined && request.headers.authorization !== `Bearer ${repo.gate}`) {
    return refuse(request.headers.authorization === undefined ? 401 : 403, 'GatedRepo');
  }
  if (content === undefined) return refuse(404, 'EntryNotFound');
  if (bytesOf(content).length < LARGE) return sendRange(request, response, bytesOf(content));
  const location = `${storage}/blobs/${encodeURIComponent(name)}?file=${encodeURIComponent(file)}`;
  return response.writeHead(302, { location }).end();
}

function sendPage(url: URL, response: ServerResponse, repo: ToyRepo): unknown {
  const deep = url.searchParams.get('recursive') === 'true';
  const names = Object.keys(repo.files).filter((file) => deep || !file.includes('/'));
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const entries = names.slice(from, from + PAGE).map((path) => {
    const bytes = bytesOf(repo.files[path] ?? '');
    const lfs = bytes.length < LARGE ? {} : { lfs: { oid: sha256(bytes), size: bytes.length } };
    return { type: 'file', path, size: bytes.length, oid: gitHash(bytes), ...lfs };
  });
  url.searchParams.set('cursor', String(from + PAGE));
  // As behind a mirror, the link names a host that is not the one that was asked.
  const next = `https://elsewhere.example${url.pathname}${url.search}`;
  const headers = from + PAGE < names.length ? { link: `<${next}>; rel="next"` } : {};
  return response.writeHead(200, headers).end(JSON.stringify(entries));
}
