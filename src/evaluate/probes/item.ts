/** A question with choices, of which a model takes the likeliest after the context. */
export interface ChoiceItem {
  /** May be empty. */
  readonly context: string;
  /** Each with the space that it begins with. */
  readonly choices: readonly string[];
  /** Index of the right one. */
  readonly gold: number;
  /** Of each choice the context, where they differ. */
  readonly contexts?: readonly string[];
  /** Indices of the right ones, where there are several. */
  readonly truths?: readonly number[];
}

/** Puts the right answer at a place that follows from the item's number, so that no place is favoured. */
export function placed(context: string, right: string, wrong: readonly string[], number: number): ChoiceItem {
  const gold = number % (wrong.length + 1);
  return { context, choices: [...wrong.slice(0, gold), right, ...wrong.slice(gold)], gold };
}

/**
 * Items of one kind, whose wrong choices are the right ones of others: so a model cannot tell the right one by its frequency.
 *
 * @param frame the context, with `*` where the subject stands
 * @param pairs `subject=answer` with commas between
 */
export function fromPairs(frame: string, pairs: string, choices = 4): ChoiceItem[] {
  const entries = pairs.split(',').map((pair) => pair.trim().split('=') as [string, string]);
  const answers = [...new Set(entries.map(([, answer]) => answer))];
  return entries.map(([subject, answer], i) => {
    const at = answers.indexOf(answer);
    // Steps of different sizes, so that neighbours in the list are not always set against each other.
    const others = answers.map((_, k) => answers[(at + 1 + ((i % 3) + 1) * k) % answers.length]!);
    const wrong = [...new Set([...others, ...answers])].filter((other) => other !== answer).slice(0, choices - 1);
    return placed(
      frame.replaceAll('*', subject),
      ` ${answer}`,
      wrong.map((other) => ` ${other}`),
      i,
    );
  });
}
