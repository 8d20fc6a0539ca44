/** What is said while answers are drawn and learned from. */
export interface OnlineWatch {
  /** After each step. @returns what is to be said */
  step(metrics: Readonly<Record<string, number>>): { readonly code: string; readonly message: string }[];
}

/** Steps over which figures are averaged. */
const STEPS = 5;

interface Alarm {
  readonly code: string;
  readonly metric: string;
  readonly isRaised: (mean: number, first: number) => boolean;
  readonly message: (mean: number) => string;
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

const ALARMS: readonly Alarm[] = [
  {
    code: 'ONLINE_NO_CONTRAST',
    metric: 'frac_reward_zero_std',
    isRaised: (mean) => mean >= 0.8,
    message: (mean) =>
      `in ${percent(mean)} of the groups all answers got the same reward, and nothing is learned from them. Prompts that are neither too easy nor too hard, a larger --group or a higher --temperature help.`,
  },
  {
    code: 'ONLINE_TRUNCATED',
    metric: 'completions/clipped_ratio',
    isRaised: (mean) => mean >= 0.5,
    message: (mean) =>
      `${percent(mean)} of the answers are cut at --max-tokens before they end. Raise it, or teach the model to end first.`,
  },
  {
    code: 'ONLINE_ENTROPY',
    metric: 'entropy',
    isRaised: (mean, first) => mean < 0.02 && mean < first / 10,
    message: (mean) =>
      `the answers hardly vary any more (entropy ${mean.toFixed(3)} nats per token): little new will be found. A lower --lr, a larger --epsilon-high or --beta keep them apart.`,
  },
  {
    code: 'ONLINE_CLIPPED',
    metric: 'clip_ratio/region_mean',
    isRaised: (mean) => mean > 0.3,
    message: (mean) =>
      `${percent(mean)} of the ratios are clipped: the updates are too large. A lower --lr or fewer --iterations help.`,
  },
  {
    code: 'ONLINE_FAR',
    metric: 'kl',
    isRaised: (mean) => mean > 0.5,
    message: (mean) =>
      `the model has gone far from its start (${mean.toFixed(2)} nats per token): look at its answers, and raise --beta or lower --lr if they are odd.`,
  },
];

/** Watches the figures of steps, and says each thing once. */
export function watchOnline(): OnlineWatch {
  const seen = new Map<string, number[]>();
  const said = new Set<string>();
  return {
    step(metrics) {
      return ALARMS.flatMap(({ code, metric, isRaised, message }) => {
        const value = metrics[metric];
        if (value === undefined || said.has(code)) return [];
        const values = [...(seen.get(metric) ?? []), value];
        seen.set(metric, values);
        if (values.length < STEPS) return [];
        const mean = values.slice(-STEPS).reduce((a, b) => a + b, 0) / STEPS;
        if (!isRaised(mean, values[0]!)) return [];
        said.add(code);
        return [{ code, message: `in the last ${STEPS} steps: ${message(mean)}` }];
      });
    },
  };
}
