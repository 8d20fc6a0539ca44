import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { errnoOf, writeError } from './fs-errors.ts';
import { isRecord } from './json-checks.ts';

/** The process that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** When it took the lock, as an ISO 8601 time. */
  readonly since: string;
  /** Tells it from a later process of the same number, where the system can say so. */
  readonly birth: string | undefined;
  /** Tells this lock from every other one. */
  readonly nonce: string;
}

/** What came of asking for a lock. */
export type LockResult =
  | { readonly kind: 'taken'; readonly release: () => void }
  | { readonly kind: 'refused'; readonly holder: LockHolder };

/**
 * Takes the lock that the file at `path` is. The file appears whole and only once; the lock of a process that is gone from this machine is
 * taken over, so that nothing need be cleared away after `kill -9`. Whether a process of another machine is gone cannot be known from here.
 *
 * @param final where the file will be once its folder is renamed, if it will
 * @throws FILE_WRITE_FAILED, DISK_FULL
 */
export function takeLock(path: string, final = path): LockResult {
  const me: LockHolder = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    birth: birthOf(process.pid),
    nonce: randomBytes(8).toString('hex'),
  };
  try {
    const holder = take(path, me);
    if (holder !== undefined) return { kind: 'refused', holder };
  } catch (error) {
    throw writeError(error, path);
  }
  return { kind: 'taken', release: () => release(final, me) };
}

/** The living process that holds the lock at `path`, or undefined. */
export function lockHolder(path: string): LockHolder | undefined {
  const holder = readHolder(path);
  return holder !== undefined && isAlive(holder) ? holder : undefined;
}

/** Returns who holds it instead. */
function take(path: string, me: LockHolder): LockHolder | undefined {
  for (;;) {
    if (create(path, me)) return undefined;
    const there = readHolder(path);
    if (there === undefined) continue;
    if (isAlive(there)) return there;
    // Two that both find it stale must not both replace it: the right to replace this very lock is a lock too.
    const right = `${path}.${there.nonce}`;
    const other = take(right, me);
    if (other !== undefined) return other;
    try {
      if (readHolder(path)?.nonce === there.nonce) {
        renameSync(written(path, me), path);
        return undefined;
      }
    } finally {
      rmSync(right, { force: true });
    }
  }
}

/** A link appears with its content, or fails where a file is. */
function create(path: string, me: LockHolder): boolean {
  const own = written(path, me);
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    return createWithoutLinks(path, me, error);
  } finally {
    rmSync(own, { force: true });
  }
}

/** Some disks know no links (FAT, some network drives). A lock that is cut short counts as stale, so the moment between the two steps is a risk here. */
function createWithoutLinks(path: string, me: LockHolder, why: unknown): boolean {
  if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EISDIR', 'EINVAL'].includes(errnoOf(why) ?? '')) throw why;
  try {
    writeFileSync(path, textOf(me), { flag: 'wx' });
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** The lock as a file beside its place. */
function written(path: string, me: LockHolder): string {
  const own = join(dirname(path), `.${basename(path)}.${me.nonce}.partial`);
  writeFileSync(own, textOf(me));
  return own;
}

function textOf(me: LockHolder): string {
  return `${JSON.stringify(me, null, 2)}\n`;
}

/** A lock that cannot be read has lost its holder with the power; a lock that is not there has none. */
function readHolder(path: string): LockHolder | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const lost: LockHolder = { pid: 0, host: hostname(), since: '', birth: undefined, nonce: 'torn' };
  try {
    const value: unknown = JSON.parse(text);
    return isHolder(value) ? value : lost;
  } catch {
    return lost;
  }
}

function isHolder(value: unknown): value is LockHolder {
  if (!isRecord(value)) return false;
  const { pid, host, since, birth, nonce } = value;
  if (typeof pid !== 'number' || typeof nonce !== 'string' || !/^[0-9a-f]{1,64}$/.test(nonce)) return false;
  return typeof host === 'string' && typeof since === 'string' && (birth === undefined || typeof birth === 'string');
}

function isAlive({ pid, host, birth }: LockHolder): boolean {
  if (host !== hostname()) return true;
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // A process of another user lives too.
    if (errnoOf(error) !== 'EPERM') return false;
  }
  return birth === undefined || birth === (birthOf(pid) ?? birth);
}

/** Linux says when a process was born: its number alone may be another's after a restart. */
function birthOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The name stands in brackets and may hold anything; the start time is the 20th field behind it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\)\s/s, '')
      .split(' ');
    // The dead keep their number until their parent has looked at them, which some containers' first process never does.
    if (fields[0] === 'Z' || fields[0] === 'X') return 'dead';
    return fields[19] === undefined ? undefined : `${boot}:${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** Another may have taken it over while this machine slept or was thought gone; then it is no longer ours to remove. */
function release(path: string, me: LockHolder): void {
  try {
    if (readHolder(path)?.nonce === me.nonce) rmSync(path, { force: true });
  } catch {
    // A folder that is gone took the lock with it.
  }
}
