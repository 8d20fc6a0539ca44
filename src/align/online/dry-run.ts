import { TunesmithError } from '../../errors/index.ts';
import type { OnlinePrompt } from './prompts.ts';
import { rewardAnswers, type WeighedReward } from './rewards.ts';

/** Rows that are tried. */
const ROWS = 16;

/**
 * Rewards right answers and junk before any step: nonsense, nothing, the prompt itself, the right answer of another row.
 *
 * @returns what is to be known where no row brings a right answer
 * @throws REWARD_FAILED, REWARD_CONSTANT where all get the same, REWARD_JUNK where junk gets as much as the right answers do
 */
export async function tryRewards(
  rewards: readonly WeighedReward[],
  prompts: readonly OnlinePrompt[],
): Promise<{ readonly code: string; readonly message: string }[]> {
  const tried = prompts.slice(0, ROWS);
  if (tried.length === 0 || rewards.length === 0) return [];
  const signal = new AbortController().signal;
  const score = async (rows: readonly OnlinePrompt[], text: (prompt: OnlinePrompt, i: number) => string) => {
    const answers = rows.map((prompt, i) => ({ prompt, text: text(prompt, i), ids: [] }));
    return (await rewardAnswers(rewards, answers, signal)).totals;
  };
  const known = tried.filter(({ gold }) => gold !== undefined);
  const gold = await score(known, (prompt) => prompt.gold!);
  const junk: { readonly what: string; readonly totals: readonly number[] }[] = [];
  for (const [what, text] of junkOf(known.length > 0 ? known : tried)) {
    junk.push({ what, totals: await score(known.length > 0 ? known : tried, text) });
  }
  const all = [...gold, ...junk.flatMap(({ totals }) => totals)];
  const names = rewards.map(({ reward }) => reward.name).join(' + ');
  if (all.every((value) => value === all[0])) {
    throw new TunesmithError('REWARD_CONSTANT', {
      message: `${names} gave ${all[0]} to right answers and to junk alike.`,
    });
  }
  if (known.length === 0) {
    const message = 'no row brings a right answer, so that nothing tells whether the reward prefers it to junk.';
    return [{ code: 'REWARD_UNTRIED', message }];
  }
  const worst = junk.reduce((a, b) => (mean(b.totals) > mean(a.totals) ? b : a));
  if (mean(worst.totals) >= mean(gold)) {
    const message = `${names} gave right answers ${mean(gold).toFixed(3)} and ${worst.what} ${mean(worst.totals).toFixed(3)}, on average over ${known.length} rows.`;
    throw new TunesmithError('REWARD_JUNK', { message });
  }
  return [];
}

function junkOf(rows: readonly OnlinePrompt[]): [what: string, text: (prompt: OnlinePrompt, i: number) => string][] {
  const other = (prompt: OnlinePrompt, i: number) => {
    const others = [...rows.slice(i + 1), ...rows.slice(0, i)];
    return others.find(({ references }) => String(references) !== String(prompt.references))?.gold ?? 'zxq';
  };
  return [
    ['nothing', () => ''],
    ['nonsense', () => 'qwx zzkj 7 vvb'],
    ['the prompt itself', ({ row }) => promptText(row)],
    ['the right answer of another row', other],
  ];
}

/** What a prompt asks, as text. */
export function promptText(row: OnlinePrompt['row']): string {
  if (row.kind === 'prompt') return row.prompt;
  return row.kind === 'messages' ? (row.messages.at(-1)?.content ?? '') : '';
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
