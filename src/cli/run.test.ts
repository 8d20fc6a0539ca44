import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { main } from './run.ts';
import { commands } from './table.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tunesmith-cli-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

async function run(...argv: string[]) {
  const written = { out: '', err: '' };
  const sink = (to: 'out' | 'err') => ({
    write: (text: string) => {
      written[to] += text;
    },
  });
  const code = await main(argv, {
    stdout: sink('out'),
    stderr: sink('err'),
    env: { TUNESMITH_HOME: home },
    signal: new AbortController().signal,
  });
  return { code, ...written };
}

describe('main', () => {
  it.each(Object.keys(commands))('explains %s with an example', async (name) => {
    const { code, out } = await run(...name.split(' '), '--help');
    expect(code).toBe(0);
    expect(out).toContain(`  tunesmith ${name}`);
    expect(out).toContain('--json');
  });

  it('explains itself and tells its version', async () => {
    expect((await run()).out).toContain('Usage: tunesmith COMMAND');
    expect((await run('--help')).out).toBe((await run('help')).out);
    expect((await run('help', 'pull')).out).toBe((await run('pull', '-h')).out);
    expect((await run('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('keeps machine lines on stdout and all else on stderr', async () => {
    const { code, out, err } = await run('models', '--json');
    expect(code).toBe(0);
    for (const line of out.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ type: 'model' });
    expect(err).toContain('smollm2-135m-instruct');
    expect((await run('models', '--json', '--quiet')).err).toBe('');
  });

  it('exits with 130 only for the interruption itself, and shows every other fault', async () => {
    const interrupted = async (fault: (reason: unknown) => unknown) => {
      const signal = AbortSignal.abort(new Error('interrupted'));
      let err = '';
      const env = Object.defineProperty({}, 'TUNESMITH_HOME', {
        get: () => {
          throw fault(signal.reason);
        },
      });
      const stderr = { write: (text: string) => (err += text) };
      return { code: await main(['models'], { stdout: { write: () => {} }, stderr, env, signal }), err };
    };
    expect(await interrupted((reason) => reason)).toEqual({ code: 130, err: 'Interrupted.\n' });
    expect(await interrupted((cause) => new DOMException('x', { name: 'AbortError', cause }))).toMatchObject({
      code: 130,
    });
    expect((await interrupted((cause) => new Error('stopped', { cause }))).code).toBe(130);
    const fault = await interrupted(() => new Error('a fault of ours'));
    expect(fault.code).toBe(1);
    expect(fault.err).toMatch(/^internal: Error: a fault of ours/);
  });

  it('ends wrong usage with 2, one line, and the nearest name', async () => {
    const unknown = await run('modles');
    expect(unknown).toMatchObject({ code: 2, out: '' });
    expect(unknown.err).toBe(
      'CLI_COMMAND_UNKNOWN tunesmith has no command modles. Fix: did you mean tunesmith models?\n',
    );
    expect(await run('runs')).toMatchObject({ code: 2 });
    expect((await run('runs', 'sl')).err).toMatch(/did you mean tunesmith runs ls/);
    expect(await run('--jsno')).toMatchObject({ code: 2 });
    const json = await run('runs', 'show', 'gone', '--json');
    expect(JSON.parse(json.out)).toMatchObject({ type: 'error', code: 'RUN_NOT_FOUND' });
    expect(json.code).toBe(2);
  });
});
