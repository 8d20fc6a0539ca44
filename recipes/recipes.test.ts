import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openPeft } from '../src/model/peft.ts';
import { openModelSource } from '../src/model/source.ts';
import { temporaryFolder } from '../test/support/cli.ts';
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
});
