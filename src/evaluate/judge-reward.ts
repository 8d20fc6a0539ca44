import { promptText } from '../align/online/dry-run.ts';
import type { AnswerToReward, Reward } from '../align/online/rewards.ts';
import { TunesmithError } from '../errors/index.ts';
import type { Message } from '../text/index.ts';
import type { Judge } from './judge.ts';

/** Answers that a judge is asked about at once. */
const AT_ONCE = 8;
/** The best mark. */
const MOST = 10;

/** Where a judge is asked, by the name of its reward. */
export interface JudgePlace {
  readonly url: string;
  readonly model: string;
}

/** The place of `judge:URL#MODEL`; undefined for a reward that is no judge. @throws CLI_OPTION_VALUE for one without a model */
export function judgePlace(reward: string): JudgePlace | undefined {
  if (!reward.startsWith('judge:')) return undefined;
  const [, url, model] = /^judge:(https?:\/\/[^#]+)#(.+)$/.exec(reward) ?? [];
  if (url !== undefined && model !== undefined) return { url, model };
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--reward "${reward}" does not say where a judge is and what it is called there.`,
    fix: '--reward judge:http://localhost:8080/v1#NAME, an OpenAI-compatible endpoint',
  });
}

/**
 * A judge's mark of each answer, from 0 to 1 (single-answer grading, Zheng et al. 2023, arXiv:2306.05685). It is shown the right answers that the row brings.
 * The same answer to the same prompt is marked once.
 */
export function markedBy(judge: Judge): Reward {
  const known = new Map<string, number>();
  const mark = async (answer: AnswerToReward, signal: AbortSignal) => {
    const asked = markPrompt(answer);
    const key = asked[1].content;
    const value = known.get(key) ?? markIn(await judge.ask(asked, signal));
    known.set(key, value);
    return value;
  };
  return {
    name: 'judge',
    needsReference: false,
    async score(answers, signal) {
      const values: number[] = [];
      for (let from = 0; from < answers.length; from += AT_ONCE) {
        const own = answers.slice(from, from + AT_ONCE);
        values.push(...(await Promise.all(own.map((answer) => mark(answer, signal)))));
      }
      return values;
    },
  };
}

function markPrompt({ prompt: { row, references }, text }: AnswerToReward): readonly [Message, Message] {
  const good = references.map((reference) => `\n\n[A good answer]\n${reference}`).join('');
  const system =
    `You mark answers to requests from 0, which is useless or wrong, to ${MOST}, which could not be better: helpful, correct and fitting to the request. ` +
    'Length does not count. End with one line such as "Mark: 7".';
  return [
    { role: 'system', content: system },
    { role: 'user', content: `[Request]\n${promptText(row)}${good}\n\n[Answer]\n${text}` },
  ];
}

/** The mark in a judge's answer, as a share of the best one: its last one counts. @throws where it holds none */
export function markIn(answer: string): number {
  const found = [...answer.matchAll(/mark:?\W*(\d+(?:\.\d+)?)/gi)].at(-1)?.[1];
  const mark = Number(found);
  if (found !== undefined && mark <= MOST) return mark / MOST;
  throw new Error(`it answered without a mark from 0 to ${MOST} (${JSON.stringify(answer.slice(0, 80))})`);
}
