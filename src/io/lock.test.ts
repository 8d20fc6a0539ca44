import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LockResult, lockHolder, takeLock } from './lock.ts';

let folder: string;
let file: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-lock-'));
  file = join(folder, 'run.lock');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const MODULE = new URL('./lock.ts', import.meta.url).href;

/** A process that takes the lock, says how it went, and stays. */
async function taker(): Promise<{ readonly said: string; readonly child: ChildProcess }> {
  const code = `import { takeLock } from ${JSON.stringify(MODULE)};
    console.log(takeLock(${JSON.stringify(file)}).kind);
    setTimeout(() => {}, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const said = await new Promise<string>((resolve) => {
    child.stdout?.once('data', (data: Buffer) => resolve(String(data).trim()));
  });
  return { said, child };
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

const release = (lock: LockResult) => (lock.kind === 'taken' ? lock.release() : undefined);
const stale = (more: object = {}) =>
  writeFileSync(
    file,
    JSON.stringify({ pid: process.pid, host: hostname(), since: 'x', birth: 'b', nonce: 'ab', ...more }),
  );

describe('takeLock', () => {
  it('is given once, names its holder, and is free again when released', () => {
    const first = takeLock(file);
    expect(first.kind).toBe('taken');
    expect(takeLock(file)).toMatchObject({ kind: 'refused', holder: { pid: process.pid, host: hostname() } });
    expect(lockHolder(file)?.pid).toBe(process.pid);
    release(first);
    expect(readdirSync(folder)).toEqual([]);
    expect(lockHolder(file)).toBeUndefined();
    expect(takeLock(file).kind).toBe('taken');
  });

  it('holds between processes, and survives the kill of its holder', async () => {
    const first = await taker();
    expect(first.said).toBe('taken');
    expect((await taker()).said).toBe('refused');
    expect(takeLock(file)).toMatchObject({ kind: 'refused', holder: { pid: first.child.pid } });
    await kill(first.child);
    expect(lockHolder(file)).toBeUndefined();
    expect(takeLock(file).kind).toBe('taken');
  });

  it('is taken over by one only, however many find it stale', async () => {
    await kill((await taker()).child);
    const takers = await Promise.all(Array.from({ length: 6 }, taker));
    expect(takers.filter(({ said }) => said === 'taken')).toHaveLength(1);
    expect(readdirSync(folder)).toEqual(['run.lock']);
  });

  it.runIf(process.platform === 'linux')('is not held by a later process that got the same number', () => {
    stale();
    expect(takeLock(file).kind).toBe('taken');
  });

  it('of another machine stands, for nobody here knows whether its holder lives', () => {
    stale({ pid: 2 ** 30, host: 'elsewhere' });
    expect(takeLock(file)).toMatchObject({ kind: 'refused', holder: { host: 'elsewhere' } });
  });

  it.each(['', '{', '[]', '{"pid":1}', '{"pid":1,"host":"h","since":"s","nonce":"../../x"}'])(
    'that a power cut left as %j has no holder',
    (text) => {
      writeFileSync(file, text);
      expect(takeLock(file).kind).toBe('taken');
    },
  );

  it('does not remove the lock of the one who took it over', () => {
    const first = takeLock(file);
    stale({ nonce: 'cd' });
    release(first);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ nonce: 'cd' });
  });

  it('may be written into a folder that is renamed afterwards, and forgets a folder that is gone', () => {
    const lock = takeLock(join(folder, 'partial.lock'), file);
    writeFileSync(file, readFileSync(join(folder, 'partial.lock')));
    release(lock);
    expect(existsSync(file)).toBe(false);
    release(lock);
    expect(() => takeLock(join(folder, 'gone', 'run.lock'))).toThrow(/FILE_WRITE_FAILED/);
  });
});
