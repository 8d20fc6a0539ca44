import { IGNORE } from '../text/index.ts';
import { type Answered, answered } from './scored.ts';

/**
 * Each prompt with the answer of the row before it (the first with that of the last), or of the nearest one before that which asks something else: what
 * KTO estimates the divergence from. Answers are cut where the model's positions end.
 */
export function mismatched(answers: readonly Answered[], maxPositions: number): Answered[] {
  const prompts = answers.map(({ example, answerFrom }) => example.ids.subarray(0, answerFrom));
  const keys = prompts.map((ids) => ids.join(' '));
  return answers.map((_, i) => {
    const before = (at: number) => (at - 1 + answers.length) % answers.length;
    let other = before(i);
    while (other !== i && keys[other] === keys[i]) other = before(other);
    // Where all rows ask the same, another answer is the best that there is.
    if (other === i) other = before(i);
    const { example, answerFrom } = answers[other]!;
    const prompt = prompts[i]!;
    const ids = Int32Array.from([...prompt, ...example.ids.subarray(answerFrom)].slice(0, maxPositions));
    return answered({ ids, labels: ids.map((id, at) => (at < prompt.length ? IGNORE : id)) });
  });
}
