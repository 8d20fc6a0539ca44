import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runConfined } from './sandbox.ts';

const outside = mkdtempSync(join(tmpdir(), 'tunesmith-outside-'));
afterAll(() => rmSync(outside, { recursive: true }));
const target = join(outside, 'written');
const python = spawnSync('python3', ['--version']).status === 0;

describe('a confined JavaScript program', () => {
  it.each([
    ['ends well', `import assert from 'node:assert'; assert.equal(1 + 1, 2);`, 'passed'],
    [
      'may write where it is',
      `import fs from 'node:fs'; fs.writeFileSync('here', 'x'); fs.readFileSync('here');`,
      'passed',
    ],
    ['has a fault', `throw new Error('no');`, 'failed'],
    ['leaves early with an exit code', `process.exit(3);`, 'failed'],
    ['is no program', `function (`, 'failed'],
    [
      'writes outside its folder',
      `import fs from 'node:fs'; fs.writeFileSync(${JSON.stringify(target)}, 'x');`,
      'failed',
    ],
    [
      'reads outside its folder',
      `import fs from 'node:fs'; fs.readFileSync(${JSON.stringify(import.meta.filename)});`,
      'failed',
    ],
    ['starts a process', `import { execSync } from 'node:child_process'; execSync('true');`, 'failed'],
    ['starts a worker', `import { Worker } from 'node:worker_threads'; new Worker('1', { eval: true });`, 'failed'],
    ['sees the environment', `if (process.env.HOME || process.env.USER) throw 1;`, 'passed'],
  ] as const)('%s', async (_, program, outcome) => {
    const result = await runConfined(program, 'javascript');
    expect(result.outcome, result.message).toBe(outcome);
    expect(existsSync(target)).toBe(false);
  });

  it('reaches no network', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    for (const program of [
      `await fetch('http://127.0.0.1:${port}/');`,
      `import net from 'node:net'; await new Promise((ok, no) => net.connect(${port}, '127.0.0.1', ok).on('error', no));`,
      `import http from 'node:http'; await new Promise((ok, no) => http.get('http://127.0.0.1:${port}', ok).on('error', no));`,
    ]) {
      expect((await runConfined(program, 'javascript')).outcome).toBe('failed');
    }
    server.close();
    expect(connections).toBe(0);
  });

  it('is killed when it loops, and when it takes too much memory', async () => {
    expect((await runConfined('for (;;) {}', 'javascript', { timeoutMs: 1500 })).outcome).toBe('timeout');
    const hungry = 'const all = []; for (;;) all.push(Buffer.alloc(1e7, 1));';
    expect(['memory', 'failed']).toContain((await runConfined(hungry, 'javascript', { timeoutMs: 50_000 })).outcome);
  });

  it.each([
    ['in large files', 'fs.writeFileSync("f" + i++, Buffer.alloc(1e7, 1))'],
    ['in many files', 'fs.writeFileSync("f" + i++, "x")'],
    ['further down', 'fs.mkdirSync("a/b", { recursive: true }); fs.appendFileSync("a/b/f", Buffer.alloc(1e7, 1))'],
  ])('is killed when it fills the disk %s', async (_, write) => {
    const program = `import fs from 'node:fs'; let i = 0; for (;;) { ${write}; }`;
    expect((await runConfined(program, 'javascript', { diskBytes: 5e7, timeoutMs: 50_000 })).outcome).toBe('disk');
  });
});

describe('a confined program', () => {
  it('is absent where its interpreter is', async () => {
    expect((await runConfined('pass', 'python', { interpreter: 'python-that-is-not-here' })).outcome).toBe('absent');
    expect((await runConfined('process.exit(127);', 'javascript')).outcome).toBe('failed');
  });
});

describe.runIf(python)('a confined Python program', () => {
  it.each([
    ['ends well', 'import math\nassert math.sqrt(4) == 2', 'passed'],
    ['has a fault', 'assert False', 'failed'],
    ['writes outside its folder', `open(${JSON.stringify(target)}, 'w').write('x')`, 'failed'],
    ['reads outside its folder', `open(${JSON.stringify(import.meta.filename)}).read()`, 'failed'],
    ['starts a process', 'import os\nos.system("true")', 'failed'],
    ['opens a socket', 'import socket\nsocket.create_connection(("127.0.0.1", 9))', 'failed'],
  ] as const)('%s', async (_, program, outcome) => {
    const result = await runConfined(program, 'python');
    expect(result.outcome, result.message).toBe(outcome);
    expect(existsSync(target)).toBe(false);
  });

  it('is killed when it loops', async () => {
    expect((await runConfined('while True: pass', 'python', { timeoutMs: 1500 })).outcome).toBe('timeout');
  });
});
