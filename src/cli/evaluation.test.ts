import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'tunesmith-eval-'));
let toys: Toys;
let run: string;
const home = path.join(folder, 'home');
const SMALL = ['--limit', 3, '--threads', 1];

beforeAll(async () => {
  vi.stubEnv('TUNESMITH_HOME', home);
  toys = writeToys(path.join(folder, 'toys'));
  run = (await train(toys, { valid: toys.chats, steps: 12, lr: 3e-2 })).run;
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function taskFile(name: string, rows: readonly unknown[]): string {
  const file = path.join(folder, name);
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  return file;
}

const ofType = (lines: readonly { type: string }[], type: string) =>
  lines.filter((line) => line.type === type) as { type: string; [key: string]: unknown }[];

describe('eval', () => {
  it('compares a run with its base: what was learned is on the held-out rows, with power stated first', async () => {
    const { exit, lines, stderr } = await cli(['eval', run, ...SMALL]);
    expect(exit, stderr).toBe(0);
    expect(lines[0]).toMatchObject({ type: 'plan', compared: true });
    const comparisons = ofType(lines, 'comparison');
    const heldOut = comparisons.find(({ task }) => task === 'held-out rows');
    expect(heldOut).toMatchObject({ role: 'target', unit: 'loss' });
    expect(heldOut!.tuned as number).toBeLessThan(heldOut!.base as number);
    expect(comparisons.map(({ task }) => task)).toEqual(
      'held-out rows,grammar,facts,completion,arithmetic,general text,all skills'.split(','),
    );
    expect(ofType(lines, 'divergence')[0]!.kl as number).toBeGreaterThan(0);
    expect(lines.at(-1)).toEqual({ type: 'done' });
  });

  it('takes up answers that are there, also after a torn line, and gives the same figures', async () => {
    const kept = path.join(home, 'evaluations');
    const before = await cli(['eval', run, ...SMALL]);
    const names = readdirSync(kept);
    const file = path.join(kept, names[0]!);
    const whole = readFileSync(file, 'utf8');
    writeFileSync(file, whole.slice(0, -5));
    const after = await cli(['eval', run, ...SMALL]);
    expect(ofType(after.lines, 'comparison')).toEqual(ofType(before.lines, 'comparison'));
    expect(readFileSync(file, 'utf8')).toBe(whole);
    expect(readdirSync(kept)).toEqual(names);
  });

  it('answers tasks of the user, and shows answers of both models', async () => {
    const choices = taskFile('mine.jsonl', [{ context: 'a', choices: [' b', ' c'], gold: 0 }]);
    const words = taskFile('words.jsonl', [{ prompt: 'Say it', references: '.', metric: 'regex' }]);
    const { exit, lines, stderr } = await cli(['eval', run, '--suite', 'none', '--task', choices, '--task', words]);
    expect(exit, stderr).toBe(0);
    expect(ofType(lines, 'comparison').map(({ task }) => task)).toEqual(['held-out rows', 'mine', 'words']);
    expect(ofType(lines, 'answers')[0]).toMatchObject({ task: 'words', prompt: 'Say it' });
  });

  it('writes a report that loads nothing and shows what models say as text', async () => {
    const html = path.join(folder, 'report.html');
    const words = taskFile('markup.jsonl', [{ prompt: '<script>alert(1)</script>', references: '.', metric: 'regex' }]);
    const { exit, stderr } = await cli(['eval', run, '--task', words, '--html', html, ...SMALL]);
    expect(exit, stderr).toBe(0);
    const text = readFileSync(html, 'utf8');
    for (const part of ['Learned', 'Forgotten', 'Unsure', 'Loss by step', 'Answers side by side', 'held-out rows'])
      expect(text).toContain(part);
    expect(text).toContain('&lt;script&gt;alert(1)');
    expect(text).not.toMatch(/<script|<link|src=|url\(|NaN|Infinity/);
  });

  it('gives scores where there is nothing to compare with', async () => {
    const { lines } = await cli(['eval', toys.model, ...SMALL]);
    expect(ofType(lines, 'comparison')).toEqual([]);
    expect(ofType(lines, 'score').length).toBe(5);
  });

  it('a model against itself differs in nothing', async () => {
    const { lines } = await cli(['eval', toys.model, '--against', toys.model, ...SMALL]);
    for (const one of ofType(lines, 'comparison')) expect(one).toMatchObject({ verdict: 'unsure', p: 1 });
  });

  it('a gate exits 3 for a run that learned too little, and 0 for one within its limits', async () => {
    const strict = await cli(['gate', run, '--min-gain', '99.9%', ...SMALL]);
    expect(strict.exit, strict.stderr).toBe(3);
    expect(strict.lines.at(-1)).toMatchObject({ type: 'gate', passed: false });
    const lax = await cli(['gate', run, '--min-gain', '1%', '--max-forget', '100000%', ...SMALL]);
    expect(lax.exit, lax.stderr).toBe(0);
    expect(lax.lines.at(-1)).toMatchObject({ type: 'gate', passed: true });
  });

  it.each([
    ['missing gold', { context: 'a', choices: [' b', ' c'] }, 'gold'],
    ['a gold that is no choice', { context: 'a', choices: [' b', ' c'], gold: 2 }, 'has gold 2'],
    ['missing references', { prompt: 'a' }, 'references'],
    ['a metric that does not fit', { prompt: 'a', references: 'blue', metric: 'numeric' }, 'holds no number'],
    ['a broken expression', { prompt: 'a', references: '(', metric: 'regex' }, 'no regular expression'],
    ['an unknown metric', { prompt: 'a', references: 'b', metric: 'vibes' }, 'metric'],
  ])('refuses %s before anything is computed', async (_, row, message) => {
    const { exit, lines } = await cli(['eval', run, '--task', taskFile('bad.jsonl', [row])]);
    expect(exit).toBe(2);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ type: 'error', code: 'EVAL_TASK', line: 1 });
    expect(lines[0]!.message).toContain(message);
  });
});
