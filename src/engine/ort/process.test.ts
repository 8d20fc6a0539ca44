import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createBuilder, finishGraph } from '../../graph/index.ts';
import { f32 } from '../../tensor/tensor.ts';
import { openOrt } from './open.ts';

/** The engine processes that were started, so that a test can do to them what the world does. */
const children = vi.hoisted((): ChildProcess[] => []);
vi.mock('node:child_process', async (importActual) => {
  const actual = await importActual<typeof import('node:child_process')>();
  const fork = (...args: Parameters<typeof actual.fork>) => {
    const child = actual.fork(...args);
    children.push(child);
    return child;
  };
  return { ...actual, fork };
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const KILLED = /^ENGINE_GONE the engine's process was ended by SIGKILL, .*out of memory/;
const OPTIONS = { device: 'cpu', threads: 1, optimize: 'on' } as const;

function doubled() {
  const g = createBuilder();
  const x = g.input('x', [2]);
  return finishGraph(g, { y: g.add(x, x) });
}

async function started() {
  const engine = openOrt(OPTIONS);
  const x = engine.upload(f32([1, 2], [2]));
  const program = engine.compile(doubled());
  const { y } = engine.run(program, { x });
  await engine.sync();
  return { engine, program, x, y: y!, child: children.at(-1)! };
}

describe('the engine process', () => {
  it('rejects what is pending when it is killed, and everything after, without hanging', async () => {
    const { engine, program, x, y, child } = await started();
    child.kill('SIGSTOP');
    const pending = [engine.read(y), engine.sync(), engine.stats()];
    child.kill('SIGKILL');
    for (const answer of pending) {
      await expect(answer).rejects.toThrow(KILLED);
    }
    // Queued calls do not throw; the next read says why.
    const handle = engine.run(program, { x: engine.upload(f32([1, 2], [2])) }).y!;
    engine.release(x);
    await expect(engine.read(handle)).rejects.toThrow(KILLED);
    await expect(engine.sync()).rejects.toThrow(KILLED);
    await engine.close();
  });

  it('takes calls between its death and the news of it', async () => {
    const { engine, program, x, child } = await started();
    child.kill('SIGKILL');
    for (let i = 0; i < 50; i++) engine.run(program, { x });
    await expect(engine.sync()).rejects.toThrow(KILLED);
  });

  it('rejects what is pending when it is closed, and closes twice', async () => {
    const { engine, y, child } = await started();
    child.kill('SIGSTOP');
    const pending = engine.read(y);
    const closed = engine.close();
    child.kill('SIGKILL');
    await expect(pending).rejects.toThrow('internal: the engine was closed');
    await closed;
    await engine.close();
    await expect(engine.sync()).rejects.toThrow('internal: the engine was closed');
  });

  it.skipIf(process.platform === 'win32')('goes on when the terminal interrupts its group', async () => {
    const { engine, y, child } = await started();
    child.kill('SIGINT');
    child.kill('SIGTERM');
    await pause(50);
    expect([...(await engine.read(y)).data]).toEqual([2, 4]);
    await engine.close();
    expect(child.exitCode).toBe(0);
  });

  it('ends when its parent is gone', async () => {
    const { child } = await started();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.disconnect();
    expect(await ended).toBe(0);
  });

  it.skipIf(process.platform === 'win32')('ends in silence when its parent is gone before it is answered', async () => {
    const { engine, y, child } = await started();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGSTOP');
    const answers = Array.from({ length: 20 }, () => engine.read(y).catch(() => {}));
    await pause(100);
    child.disconnect();
    child.kill('SIGCONT');
    expect(await ended).toBe(0);
    await Promise.all(answers);
  });

  it('leaves the event loop free while it computes', async () => {
    const engine = openOrt(OPTIONS);
    const n = 1024;
    const g = createBuilder();
    const x = g.input('x', [n, n]);
    const program = engine.compile(finishGraph(g, { y: g.matMul(g.matMul(x, x), g.matMul(x, x), { transB: true }) }));
    const handle = engine.allocate([n, n]);
    await engine.sync();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (let i = 0; i < 3; i++) engine.run(program, { x: handle });
    await engine.sync();
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
    await engine.close();
  });
});
