/** What is said while answers are told apart. */
export interface ChosenWatch {
  /** After each step. @returns what is to be said */
  step(metrics: Readonly<Record<string, number>>): { readonly code: string; readonly message: string }[];
  /** After each evaluation. */
  evaluation(metrics: Readonly<Record<string, number>>): void;
}

/** Steps over which a fall is averaged. */
const STEPS = 5;

/**
 * Watches whether the chosen answers become less likely, as they may while the margin grows because the rejected ones fall faster: says so once. Held
 * against the reference where there is one, else against the first evaluation.
 */
export function watchChosen(hasReference: boolean): ChosenWatch {
  const last: number[] = [];
  let first: number | undefined;
  let fallen: string | undefined;
  let isSaid = false;
  return {
    step(metrics) {
      const reward = metrics['rewards/chosen'];
      if (hasReference && reward !== undefined) {
        last.push(reward);
        if (last.length > STEPS) last.shift();
        const isFallen = last.length === STEPS && last.reduce((a, b) => a + b, 0) < 0;
        if (isFallen) fallen = `in the last ${STEPS} steps`;
      }
      if (fallen === undefined || isSaid) return [];
      isSaid = true;
      const message = `the chosen answers are less likely than at the start (${fallen}): the margin grows because the rejected ones fall faster. A lower --lr or a larger --beta keeps them up.`;
      return [{ code: 'TRAIN_CHOSEN_FALLS', message }];
    },
    evaluation(metrics) {
      const logp = metrics['logps/chosen'];
      if (hasReference || logp === undefined) return;
      first ??= logp;
      if (logp < first) fallen = 'on the validation rows';
    },
  };
}
