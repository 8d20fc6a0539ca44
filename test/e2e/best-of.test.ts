import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const model = writeTinyChatModel(at('model'));
const data = writeRows(
  at('rows.jsonl'),
  Array.from({ length: 6 }, (_, i) => ({ prompt: `Word ${i}`, worth: i })),
);
writeFileSync(
  at('letters.ts'),
  `export default ({ answer, row }: { answer: string; row: { worth: number } }): number => row.worth + [...answer].filter((c) => c >= 'a' && c <= 'm').length / 8;\n`,
);
const generate = (out: string, ...args: (string | number)[]) =>
  cli(['generate', model, '--data', data, '--out', at(out), '--max-tokens', 8, '--threads', 1, ...args]);
const drawing = ['--temperature', 1, '--best-of', 4, '--reward', at('letters.ts')] as const;
interface Line {
  readonly index: number;
  readonly messages: { readonly role: string; readonly content: string }[];
  readonly reward: number;
  readonly mean_reward: number;
}
const linesOf = (out: string) =>
  readFileSync(at(out), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

describe('generate --best-of', () => {
  test('keeps the answer that is worth most, as rows that train takes', async () => {
    const { exit, stderr } = await generate('best.jsonl', ...drawing);
    expect(exit, stderr).toBe(0);
    const lines = linesOf('best.jsonl');
    expect(lines.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    for (const { index, messages, reward, mean_reward: average } of lines) {
      const said = messages.at(-1)!;
      expect(said.role).toBe('assistant');
      expect(reward).toBeCloseTo(index + [...said.content].filter((c) => c >= 'a' && c <= 'm').length / 8, 9);
      expect(reward).toBeGreaterThanOrEqual(average);
    }
    expect(lines.some(({ reward, mean_reward: average }) => reward > average)).toBe(true);
    const plan = await cli(['train', '--model', model, '--data', at('best.jsonl'), '--plan', '--threads', 1]);
    expect(plan.exit, plan.stderr).toBe(0);
  });

  test('leaves out rows whose best answer is worth less, and goes on where it stopped', async () => {
    const flags = [...drawing, '--least', 2] as const;
    expect((await generate('some.jsonl', ...flags)).exit).toBe(0);
    const whole = readFileSync(at('some.jsonl'), 'utf8');
    const lines = linesOf('some.jsonl');
    expect(lines.every(({ reward }) => reward >= 2)).toBe(true);
    expect(lines.length).toBeLessThan(6);
    writeFileSync(at('some.jsonl'), whole.slice(0, whole.length - 10));
    expect((await generate('some.jsonl', ...flags)).exit).toBe(0);
    expect(readFileSync(at('some.jsonl'), 'utf8')).toBe(whole);
    const { exit, stderr } = await generate('some.jsonl', ...drawing, '--least', 3);
    expect(exit).toBe(2);
    expect(stderr).toContain('GENERATE_OUT_DIFFERS');
  });

  test.each([
    ['answers that are all the same', 'CLI_OPTION_CONFLICT', ['--best-of', 4, '--reward', 'exact']],
    ['no reward', 'CLI_ARGUMENT', ['--temperature', 1, '--best-of', 4]],
    ['one answer', 'CLI_OPTION_VALUE', ['--temperature', 1, '--best-of', 1, '--reward', 'exact']],
    ['a reward that is none', 'REWARD_UNKNOWN', ['--temperature', 1, '--best-of', 2, '--reward', 'niceness']],
    ['a reward without several answers', 'CLI_OPTION_CONFLICT', ['--reward', 'exact']],
    ['a right answer that is not there', 'REWARD_REFERENCE', ['--temperature', 1, '--best-of', 2, '--reward', 'exact']],
  ] as const)('refuses %s', async (name, code, flags) => {
    const { exit, stderr } = await generate(`${name.replaceAll(' ', '-')}.jsonl`, ...flags);
    expect(exit).toBe(2);
    expect(stderr).toContain(code);
  });
});
