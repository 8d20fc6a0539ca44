import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { fileSize, folderExists, listFolder, readBytes, sha256File } from './files.ts';
import { type Refusal, type RequestOptions, request } from './http.ts';
import { endpointOf, type HubOptions, hubHeaders } from './hub.ts';

/** A file that is pushed. */
export interface PushFile {
  /** Path in the repository. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** Where a folder goes. */
export interface PushTarget {
  /** `owner/name` */
  readonly repo: string;
  /** Whether a repository that is made for it is seen by its owner only; one that is there stays as it is. */
  readonly isPrivate: boolean;
  /** The commit's first line. */
  readonly summary: string;
}

/** What watches a push. */
export interface PushWatch {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of large files that were sent or were there already, of all. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

const Modes = z.object({ files: z.array(z.object({ path: z.string(), uploadMode: z.enum(['lfs', 'regular']) })) });
const Action = z.object({ href: z.string(), header: z.record(z.string(), z.string()).nullish() });
const Batch = z.object({
  objects: z.array(
    z.object({
      oid: z.string(),
      error: z.object({ message: z.string() }).nullish(),
      actions: z.object({ upload: Action, verify: Action.nullish() }).nullish(),
    }),
  ),
});
const Commit = z.object({ commitOid: z.string(), commitUrl: z.string() });

/** Bytes by which the hub judges whether a file is text. */
const SAMPLE = 512;
/** The host of large files answers once it has all of a file or part, at the speed of the line. */
const UPLOAD_WITHIN = 3_600_000;
const LFS = 'application/vnd.git-lfs+json';

/** How requests of one push are made. The token goes to the hub alone, whatever addresses it gives. */
type Call = RequestOptions & { readonly home: string };

/** All files of a folder, as a push takes them. */
export function pushFiles(folder: string, within = ''): PushFile[] {
  return listFolder(join(folder, within)).flatMap((entry) => {
    const name = within === '' ? entry : `${within}/${entry}`;
    const path = join(folder, name);
    return folderExists(path) ? pushFiles(folder, name) : [{ name, path, bytes: fileSize(path) }];
  });
}

/** The address of a repository's page. @throws DOWNLOAD_UNREACHABLE for an endpoint that is no address */
export function repoUrl(repo: string, hub: HubOptions): string {
  return `${endpointOf(hub)}/${repo}`;
}

/**
 * Puts files into a repository on the hub, which is made if it is not there, as one commit: all of them arrive, or none. Large ones go first, by Git LFS;
 * those that the hub has already are not sent again.
 *
 * @returns the address of the commit
 * @throws PUSH_REFUSED where the token may not write, PUSH_FAILED, and what {@link request} throws
 */
export async function pushToHub(
  files: readonly PushFile[],
  { repo, isPrivate, summary }: PushTarget,
  hub: HubOptions,
  { signal, onProgress = () => {} }: PushWatch = {},
): Promise<string> {
  const base = endpointOf(hub);
  const call: Call = { ...hub, home: base, headers: hubHeaders(hub), signal, refusal: pushRefusal(repo, hub) };
  await makeRepo(base, repo, isPrivate, call);
  const large = await largeFiles(`${base}/api/models/${repo}/preupload/main`, files, call);
  const pointers = await Promise.all(large.map(async (file) => ({ ...file, oid: await sha256File(file.path) })));
  await sendLarge(`${base}/${repo}.git/info/lfs/objects/batch`, pointers, call, onProgress);
  const isLarge = new Set(large.map(({ name }) => name));
  const lines = [
    { key: 'header', value: { summary, description: '' } },
    ...files
      .filter(({ name }) => !isLarge.has(name))
      .map(({ name, path }) => ({
        key: 'file',
        value: { content: Buffer.from(readBytes(path)).toString('base64'), path: name, encoding: 'base64' },
      })),
    ...pointers.map(({ name, oid, bytes }) => ({
      key: 'lfsFile',
      value: { path: name, algo: 'sha256', oid, size: bytes },
    })),
  ];
  const body = lines.map((line) => JSON.stringify(line)).join('\n');
  const url = `${base}/api/models/${repo}/commit/main`;
  return parse(Commit, await post(url, body, { ...call, reachWithin: 120_000 }, 'application/x-ndjson')).commitUrl;
}

/** Makes the repository; one that is there is as good. */
async function makeRepo(base: string, repo: string, isPrivate: boolean, call: Call): Promise<void> {
  const [organization, name] = repo.split('/');
  const body = JSON.stringify({ type: 'model', name, organization, private: isPrivate });
  const isThere = Symbol();
  const refusal = (refused: Refusal) => {
    if (refused.status === 409) throw isThere;
    return call.refusal!(refused);
  };
  try {
    await post(`${base}/api/repos/create`, body, { ...call, refusal });
  } catch (error) {
    if (error !== isThere) throw error;
  }
}

/** The files that the hub wants by Git LFS. */
async function largeFiles(url: string, files: readonly PushFile[], call: Call): Promise<PushFile[]> {
  const described = await Promise.all(
    files.map(async ({ name, path, bytes }) => ({ path: name, size: bytes, sample: await sampleOf(path) })),
  );
  const answer = parse(Modes, await post(url, JSON.stringify({ files: described }), call));
  const modes = new Map(answer.files.map(({ path, uploadMode }) => [path, uploadMode]));
  return files.filter(({ name }) => modes.get(name) === 'lfs');
}

async function sampleOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SAMPLE), 0, SAMPLE, 0);
    return buffer.toString('base64', 0, bytesRead);
  } finally {
    await file.close();
  }
}

type Pointer = PushFile & { readonly oid: string };

async function sendLarge(
  url: string,
  files: readonly Pointer[],
  call: Call,
  onProgress: (bytes: number, total: number) => void,
): Promise<void> {
  if (files.length === 0) return;
  const objects = files.map(({ oid, bytes }) => ({ oid, size: bytes }));
  const body = { operation: 'upload', transfers: ['basic', 'multipart'], hash_algo: 'sha256', objects };
  const batch = parse(Batch, await post(url, JSON.stringify(body), call, LFS));
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress(done, total);
  };
  for (const file of files) {
    const object = batch.objects.find(({ oid }) => oid === file.oid);
    if (object === undefined || object.error != null) {
      throw failed(`the hub does not take ${file.name}: ${object?.error?.message ?? 'it does not say where to'}.`);
    }
    // What has no actions is there already.
    if (object.actions == null) onBytes(file.bytes);
    else {
      await sendFile(file, object.actions.upload, call, onBytes);
      const { verify } = object.actions;
      if (verify != null) await post(verify.href, JSON.stringify({ oid: file.oid, size: file.bytes }), call, LFS);
    }
  }
}

/** Sends a file whole, or in the parts that the hub asks for. These addresses are signed. */
async function sendFile(
  file: Pointer,
  { href, header }: z.infer<typeof Action>,
  call: Call,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const chunk = Number(header?.chunk_size ?? Number.NaN);
  if (!Number.isFinite(chunk)) {
    await sendPart(href, file.path, 0, file.bytes, call, onBytes);
    return;
  }
  const parts: { partNumber: number; etag: string }[] = [];
  for (let from = 0; from < file.bytes; from += chunk) {
    const partNumber = parts.length + 1;
    const url = Object.entries(header ?? {}).find(([key]) => /^\d+$/.test(key) && Number(key) === partNumber)?.[1];
    if (url === undefined) throw failed(`the hub gives no address for part ${partNumber} of ${file.name}.`);
    const etag = await sendPart(url, file.path, from, Math.min(chunk, file.bytes - from), call, onBytes);
    parts.push({ partNumber, etag });
  }
  await post(href, JSON.stringify({ oid: file.oid, parts }), call, LFS);
}

async function sendPart(
  url: string,
  path: string,
  from: number,
  bytes: number,
  call: Call,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const body = () => ({ stream: ReadableStream.from(piecesOf(path, from, bytes, onBytes)), bytes });
  const headers = { 'content-length': String(bytes) };
  const send = { method: 'PUT', body } as const;
  const response = await request(url, { ...call, headers, send, reachWithin: UPLOAD_WITHIN });
  await response.body?.cancel();
  return response.headers.get('etag') ?? '';
}

async function* piecesOf(
  path: string,
  from: number,
  bytes: number,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const file = await open(path);
  try {
    for (let at = 0; at < bytes; ) {
      const piece = Buffer.alloc(Math.min(1 << 20, bytes - at));
      const { bytesRead } = await file.read(piece, 0, piece.length, from + at);
      if (bytesRead === 0) throw failed(`${path} became shorter while it was sent.`);
      at += bytesRead;
      onBytes(bytesRead);
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function post(url: string, body: string, call: Call, type = 'application/json'): Promise<unknown> {
  const { authorization, ...open } = call.headers ?? {};
  const own = authorization !== undefined && url.startsWith(`${call.home}/`) ? { authorization } : {};
  const headers = { ...open, ...own, 'content-type': type, accept: type === LFS ? LFS : 'application/json' };
  const send = { method: 'POST', body: () => body } as const;
  const options = { ...call, headers, send, reachWithin: call.reachWithin ?? 30_000 };
  const response = await request(url, options);
  const text = await response.text();
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    // LFS's confirmations need not be JSON.
    return {};
  }
}

function pushRefusal(repo: string, hub: HubOptions): (refusal: Refusal) => TunesmithError {
  const tokens = `${endpointOf(hub)}/settings/tokens`;
  return ({ url, status, words }) => {
    const said = words === undefined ? '' : ` (${words})`;
    if (status !== 401 && status !== 403) return failed(`${url} answered ${status}${said}.`);
    const who = status === 401 ? 'the hub does not know the given token' : `the given token may not write to ${repo}`;
    const fix = `make a token that may write to ${repo.split('/')[0]} at ${tokens} and set it as HF_TOKEN.`;
    return new TunesmithError('PUSH_REFUSED', { message: `${who}${said}.`, fix });
  };
}

function failed(message: string): TunesmithError {
  return new TunesmithError('PUSH_FAILED', { message });
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw failed('the hub answered something else than it does.');
}
