import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openPeft } from '../src/model/peft.ts';
import { openModelSource } from '../src/model/source.ts';
import { temporaryFolder } from '../test/support/cli.ts';
import { writeRows } from '../test/support/golden-rows.ts';
import { writeToys } from '../test/support/toy-runs.ts';

const toys = writeToys(temporaryFolder());

/** A recipe as a reader runs it. */
function run(recipe: string, ...args: string[]) {
  return spawnSync(process.execPath, [path.join(import.meta.dirname, recipe), ...args], { encoding: 'utf8' });
}

describe('recipes', () => {
  test('sft.ts learns, and leaves an adapter', () => {
    const out = path.join(toys.folder, 'sft');
    const { status, stdout, stderr } = run('sft.ts', toys.model, toys.chats, out);
    expect(status, stderr).toBe(0);
    const loss = (when: string) => Number(new RegExp(`held-out rows, ${when}: ([\\d.]+)`).exec(stdout)?.[1]);
    expect(loss('after')).toBeLessThan(loss('before'));
    expect(stdout).toMatch(/base: .*\n(.*\n)*tuned: /);
    const { config } = openModelSource(toys.model);
    expect(openPeft(out, config).spec.settings).toMatchObject({ kind: 'lora', rank: 16 });
  });

  test('dpo.ts tells held-out pairs apart, from ln 2 on, and leaves an adapter', () => {
    const out = path.join(toys.folder, 'dpo');
    const pairs = writeRows(
      path.join(toys.folder, 'pairs.jsonl'),
      Array.from({ length: 60 }, (_, i) => ({ prompt: `Is it ${i}?`, chosen: 'Yes, it is.', rejected: `No ${i}` })),
    );
    const { status, stdout, stderr } = run('dpo.ts', toys.model, pairs, out);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('step 1 of 18: loss 0.6931');
    expect(Number(/told apart: (\d+) %/.exec(stdout)?.[1])).toBeGreaterThan(80);
    const { config } = openModelSource(toys.model);
    expect(openPeft(out, config).spec.settings).toMatchObject({ kind: 'lora', rank: 16 });
  });

  test('kto.ts pulls good and bad answers apart, from 1/2 on', () => {
    const out = path.join(toys.folder, 'kto');
    const marked = writeRows(
      path.join(toys.folder, 'marked.jsonl'),
      Array.from({ length: 60 }, (_, i) => ({
        prompt: `Is it ${i}?`,
        completion: i % 2 === 0 ? 'Yes, it is.' : `No ${i}`,
        label: i % 2 === 0,
      })),
    );
    const { status, stdout, stderr } = run('kto.ts', toys.model, marked, out);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('step 1 of 18: loss 0.5000, divergence 0.000');
    const [, good, bad] = /good ones gained ([-\d.]+) nats, bad ones ([-\d.]+)/.exec(stdout) ?? [];
    expect(Number(good)).toBeGreaterThan(Number(bad) + 1);
    const { config } = openModelSource(toys.model);
    expect(openPeft(out, config).spec.settings).toMatchObject({ kind: 'lora', rank: 16 });
  });

  test('reward.ts tells held-out pairs apart, and leaves a head that peft loads', () => {
    const out = path.join(toys.folder, 'reward');
    const pairs = writeRows(
      path.join(toys.folder, 'judged.jsonl'),
      Array.from({ length: 60 }, (_, i) => ({ prompt: `Is it ${i}?`, chosen: 'Yes, it is.', rejected: `No ${i}` })),
    );
    const { status, stdout, stderr } = run('reward.ts', toys.model, pairs, out);
    expect(status, stderr).toBe(0);
    expect(Number(/apart, after: (\d+) %/.exec(stdout)?.[1])).toBeGreaterThan(90);
    const { config } = openModelSource(toys.model);
    expect(openPeft(out, config, 'SEQ_CLS').score?.shape).toEqual([1, config.hiddenSize]);
  });

  test('grpo.ts raises the reward, and leaves an adapter', () => {
    const out = path.join(toys.folder, 'grpo');
    const prompts = writeRows(
      path.join(toys.folder, 'prompts.jsonl'),
      Array.from({ length: 16 }, (_, i) => ({ prompt: `Word ${i}`, answer: 'eeeeeeee' })),
    );
    const { status, stdout, stderr } = run('grpo.ts', toys.model, prompts, out);
    expect(status, stderr).toBe(0);
    const rewards = [...stdout.matchAll(/reward ([\d.]+)/g)].map((match) => Number(match[1]));
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(rewards.slice(-10))).toBeGreaterThan(mean(rewards.slice(0, 10)));
    expect(openPeft(out, openModelSource(toys.model).config).spec.settings).toMatchObject({ kind: 'lora', rank: 16 });
  });
});
