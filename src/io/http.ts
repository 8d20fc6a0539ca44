import { createHash } from 'node:crypto';
import { closeSync, createReadStream, fsyncSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { TunesmithError } from '../errors/index.ts';
import { makeFolder, remove, writeAtomic } from './atomic.ts';
import { fileExists, fileSize, freeDiskBytes, readText, sha256File, writeFully } from './files.ts';
import { errnoOf, readError, writeError } from './fs-errors.ts';

/** What a downloaded file must hash to; `git` is the SHA-1 of a git blob, which the hub gives for small files. */
export interface Digest {
  readonly kind: 'sha256' | 'git';
  readonly hex: string;
}

/** An answer that says no. */
export interface Refusal {
  readonly url: string;
  readonly status: number;
  /** What the hub gives as x-error-code, such as GatedRepo. */
  readonly reason: string | undefined;
  /** What the hub gives as x-error-message. */
  readonly words?: string | undefined;
}

/** What a request sends along. */
export interface Sent {
  readonly method: 'POST' | 'PUT';
  /** Called for each try; bytes that are given piece by piece need their count. */
  readonly body: () => string | { readonly stream: ReadableStream<Uint8Array>; readonly bytes: number };
}

/** How a request is made. Times are in milliseconds. */
export interface RequestOptions {
  /** Default: nothing, as GET. */
  readonly send?: Sent | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** A host that sends no answer in this time is given up (default 5,000). */
  readonly reachWithin?: number;
  readonly signal?: AbortSignal | undefined;
  /** The first wait for a busy server that does not say how long; doubled each time (default 500). */
  readonly backoff?: number;
  /** Called before waiting for a busy server. */
  readonly onBusy?: ((busy: { readonly status: number; readonly seconds: number }) => void) | undefined;
  /** What a refusal means to the caller (default: DOWNLOAD_REFUSED). */
  readonly refusal?: ((refusal: Refusal) => TunesmithError) | undefined;
}

/** One file to fetch. */
export interface DownloadOptions extends RequestOptions {
  readonly url: string;
  /** Where the file lands, once it is whole and verified. */
  readonly path: string;
  readonly digest?: Digest | undefined;
  /** Size, if known: never more is written. */
  readonly bytes?: number | undefined;
  /** A transfer that stands still this long counts as cut (default 30,000). */
  readonly stallAfter?: number;
  /** How often a cut transfer is taken up again without any progress (default 3). */
  readonly retries?: number;
  /** Called with the bytes that are there and the bytes there will be. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
}

/** A transfer that broke off but may be taken up where it stopped. */
class Cut extends Error {}

/** Bytes are in the file, but not the whole file; the answer may continue them. */
interface Part {
  readonly path: string;
  readonly etagPath: string;
  readonly start: number;
}

/** How often a busy server is asked again. */
const BUSY_RETRIES = 4;
/** A server that wants to be left alone for longer (in seconds) is not waited for. */
const LONGEST_WAIT = 120;

/**
 * Sends a request (GET, unless it sends something) and waits for the head of the answer. A busy server (429, 408, 5xx) is asked again, when it says or a little later each time.
 *
 * @throws DOWNLOAD_UNREACHABLE when nobody answers in time, DOWNLOAD_BUSY when the server stays busy, and for another client error
 * `options.refusal`, otherwise DOWNLOAD_REFUSED
 */
export async function request(url: string, options: RequestOptions = {}): Promise<Response> {
  for (let tries = 0; ; tries++) {
    const response = await answer(url, options);
    const { status } = response;
    const busy = status === 429 || status === 408 || status >= 500;
    if (!busy && (status < 400 || status === 416)) return response;
    await response.body?.cancel();
    if (!busy) {
      const [reason, words] = ['x-error-code', 'x-error-message'].map(
        (name) => response.headers.get(name) ?? undefined,
      );
      throw (options.refusal ?? refused)({ url, status, reason, words });
    }
    const seconds = waitOf(response) ?? ((options.backoff ?? 500) / 1000) * 2 ** tries;
    if (tries >= BUSY_RETRIES || seconds > LONGEST_WAIT) {
      const when = seconds > LONGEST_WAIT ? ` and wants to be asked again in ${Math.ceil(seconds)} seconds` : '';
      throw new TunesmithError('DOWNLOAD_BUSY', { message: `${url} answered ${status}${when}.` });
    }
    options.onBusy?.({ status, seconds });
    await pause(seconds * 1000, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** Seconds to wait, as Retry-After says them: a number or a date. */
function waitOf(response: Response): number | undefined {
  const text = response.headers.get('retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

async function answer(url: string, options: RequestOptions): Promise<Response> {
  const within = options.reachWithin ?? 5_000;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), within);
  const signal = options.signal === undefined ? late.signal : AbortSignal.any([late.signal, options.signal]);
  try {
    // Where it is sent on to another host, as from the hub to its storage, fetch leaves the token behind.
    return await fetch(url, { headers: { ...options.headers }, signal, ...sent(options.send) });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    const why = late.signal.aborted
      ? `did not answer within ${within / 1000} seconds`
      : `cannot be reached (${reason(cause)})`;
    throw new TunesmithError('DOWNLOAD_UNREACHABLE', { message: `${new URL(url).host} ${why}.`, cause });
  } finally {
    clearTimeout(timer);
  }
}

/** A request's method and body, as fetch takes them. */
function sent(send: Sent | undefined): RequestInit {
  if (send === undefined) return {};
  const body = send.body();
  if (typeof body === 'string') return { method: send.method, body };
  return { method: send.method, body: body.stream, duplex: 'half' } as RequestInit;
}

/** A JSON answer, and the address of its next page. @throws what {@link request} throws, and DOWNLOAD_CUT for an answer that is no JSON */
export async function requestJson(
  url: string,
  options: RequestOptions = {},
): Promise<{ value: unknown; next?: string }> {
  const response = await request(url, options);
  if (!response.ok) throw refused({ url, status: response.status });
  const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
  try {
    const value: unknown = await response.json();
    return next === undefined ? { value } : { value, next };
  } catch (cause) {
    throw new TunesmithError('DOWNLOAD_CUT', { message: `${url} did not answer with JSON.`, cause });
  }
}

/**
 * Fetches a file: into `path.part` first, taken up there after a cut (also by a later call), checked against its digest, then renamed.
 * What lies at `path` already is kept if it has the right digest.
 *
 * @throws what {@link request} throws, DOWNLOAD_CUT, DOWNLOAD_CHECKSUM, DISK_FULL, FILE_WRITE_FAILED
 */
export async function download(options: DownloadOptions): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const { path, digest } = options;
  makeFolder(dirname(path));
  if (digest !== undefined && fileExists(path) && (await digestOf(path, digest.kind)) === digest.hex) {
    return { sha256: await sha256File(path), bytes: fileSize(path) };
  }
  const part = `${path}.part`;
  const etag = `${part}.etag`;
  await fetchWhole(options, part, etag);
  try {
    await verify(part, digest, options.url);
  } catch (error) {
    remove(part);
    remove(etag);
    throw error;
  }
  const sha256 = digest?.kind === 'sha256' ? digest.hex : await sha256File(part);
  publish(part, path);
  remove(etag);
  return { sha256, bytes: fileSize(path) };
}

/** Takes a broken transfer up again as long as each try brings something. */
async function fetchWhole(options: DownloadOptions, part: string, etagPath: string): Promise<void> {
  const most = options.retries ?? 3;
  for (let fruitless = 0; ; ) {
    const before = fileExists(part) ? fileSize(part) : 0;
    try {
      return await fetchRest(options, { path: part, etagPath, start: before });
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      const after = fileExists(part) ? fileSize(part) : 0;
      fruitless = after > before ? 0 : fruitless + 1;
      if (fruitless > most) {
        const message = `${options.url} broke off after ${after} bytes: ${error.message}.`;
        throw new TunesmithError('DOWNLOAD_CUT', { message, cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 200 * fruitless));
    }
  }
}

async function fetchRest(options: DownloadOptions, part: Part): Promise<void> {
  if (options.bytes !== undefined && part.start === options.bytes) return;
  const known = fileExists(part.etagPath) ? readText(part.etagPath) : undefined;
  // Without a digest to check the whole by, bytes are only continued if the server vouches that it is the same file.
  const from = options.digest !== undefined || known !== undefined ? part.start : 0;
  const headers: Record<string, string> = { ...options.headers, 'accept-encoding': 'identity' };
  if (from > 0) headers.range = `bytes=${from}-`;
  if (from > 0 && known !== undefined) headers['if-range'] = known;
  const stalled = new AbortController();
  const signals = [stalled.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const response = await request(options.url, { ...options, headers, signal: AbortSignal.any(signals) });
  if (response.status === 416) {
    await response.body?.cancel();
    remove(part.path);
    throw new Cut('the server has fewer bytes than were fetched');
  }
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new Cut(`the server answered ${response.status}`);
  }
  const start = response.status === 206 ? startOf(response, from) : 0;
  const tag = response.headers.get('etag');
  if (tag !== null && !tag.startsWith('W/')) writeAtomic(part.etagPath, tag);
  const length = Number(response.headers.get('content-length') ?? Number.NaN);
  const total = Number.isFinite(length) ? start + length : options.bytes;
  if (total !== undefined) requireDisk(total - start, part.path);
  await receive(response.body, options, { part, start, total, stalled });
}

/** Where the bytes of a 206 answer start; another place than asked for is a fault of the server. */
function startOf(response: Response, asked: number): number {
  const start = Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
  if (start !== asked) throw new Cut('the server continued at another place');
  return start;
}

interface Transfer {
  readonly part: Part;
  readonly start: number;
  readonly total: number | undefined;
  readonly stalled: AbortController;
}

async function receive(body: ReadableStream<Uint8Array>, options: DownloadOptions, transfer: Transfer): Promise<void> {
  const { part, start, total, stalled } = transfer;
  const limit = options.bytes ?? total ?? Number.POSITIVE_INFINITY;
  let descriptor: number;
  try {
    descriptor = openSync(part.path, start > 0 ? 'a' : 'w');
  } catch (error) {
    throw writeError(error, part.path);
  }
  const still = setTimeout(() => stalled.abort(), options.stallAfter ?? 30_000);
  let bytes = start;
  try {
    options.onProgress?.(bytes, total);
    for await (const chunk of body) {
      still.refresh();
      bytes += chunk.length;
      if (bytes > limit) throw checksum(options.url, `sends more than its ${limit} bytes`);
      writeFully(descriptor, chunk);
      options.onProgress?.(bytes, total);
    }
    fsyncSync(descriptor);
  } catch (error) {
    if (options.signal?.aborted || error instanceof TunesmithError) throw error;
    if (errnoOf(error) !== undefined && error instanceof Error && 'syscall' in error && error.syscall === 'write') {
      throw writeError(error, part.path);
    }
    throw new Cut(stalled.signal.aborted ? 'it stood still' : reason(error));
  } finally {
    clearTimeout(still);
    closeSync(descriptor);
  }
  if (total !== undefined && bytes < total) throw new Cut(`${total - bytes} bytes are missing`);
}

/** Asserts that a file has its digest. @throws DOWNLOAD_CHECKSUM */
export async function verify(path: string, digest: Digest | undefined, source: string): Promise<void> {
  if (digest === undefined) return;
  const found = await digestOf(path, digest.kind);
  if (found !== digest.hex) throw checksum(source, `has the ${digest.kind} ${found}, expected ${digest.hex}`);
}

/** Gives a verified file its name. */
export function publish(part: string, path: string): void {
  try {
    renameSync(part, path);
  } catch (error) {
    throw writeError(error, path);
  }
}

/** Asserts that the disk of `path` has room. @throws DISK_FULL */
export function requireDisk(bytes: number, path: string): void {
  const free = freeDiskBytes(dirname(path));
  if (free >= bytes) return;
  const message = `needs ${Math.ceil(bytes / 1e6)} MB, and ${Math.floor(free / 1e6)} MB are free.`;
  throw new TunesmithError('DISK_FULL', { message, file: path });
}

async function digestOf(path: string, kind: Digest['kind']): Promise<string> {
  if (kind === 'sha256') return sha256File(path);
  const hash = createHash('sha1').update(`blob ${fileSize(path)}\0`);
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (error) {
    throw readError(error, path);
  }
  return hash.digest('hex');
}

function checksum(source: string, what: string): TunesmithError {
  return new TunesmithError('DOWNLOAD_CHECKSUM', { message: `${source} ${what}.` });
}

function refused({ url, status }: Pick<Refusal, 'url' | 'status'>): TunesmithError {
  return new TunesmithError('DOWNLOAD_REFUSED', { message: `${url} answered ${status}.` });
}

/** The innermost reason of a failed fetch, which hides it under `cause`. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? (errnoOf(error) ?? error.message) : reason(error.cause);
}
