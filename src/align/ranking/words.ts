import type { Axis, RankingItem } from './types.ts';

/** What is asked by each axis. */
export const QUESTIONS: Readonly<Record<Axis, string>> = {
  overall: 'Which answer is better?',
  helpful: 'Which answer is more helpful?',
  honest: 'Which answer is more honest?',
  harmless: 'Which answer is less harmful?',
};

/** What is asked where there is one answer. */
export const SINGLE_QUESTION = 'Is this a good answer?';

/** The messages of a prompt, each with who says it. */
export function promptParts({ prompt }: RankingItem): { readonly role: string; readonly text: string }[] {
  if (typeof prompt === 'string') return [{ role: 'text', text: prompt }];
  return prompt.map(({ role, content, tool_calls: calls }) => ({
    role,
    text: content === '' && calls !== undefined ? JSON.stringify(calls.map((call) => call.function)) : content,
  }));
}
