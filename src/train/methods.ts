import { resolve } from 'node:path';
import { z } from 'zod';

/** Labels for rows of text or messages. */
export const ClassifyMethod = z.strictObject({
  kind: z.literal('classify'),
  classWeights: z
    .enum(['none', 'balanced'])
    .default('none')
    .describe('balanced: rare labels count as much in the loss as frequent ones'),
  precision: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.9)
    .describe("share of a label's confident answers that shall be right, which sets its threshold"),
});

/** What is mixed in so that it is not forgotten. */
const rehearsal = {
  replay: z
    .string()
    .min(1)
    .optional()
    .describe(
      'rows of what shall not be forgotten, mixed into every step: a file, a folder or a pattern; self: what the model says before it trains',
    ),
  replayRatio: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('share of the rows of a step that are replayed (default: 0.1; pretrain: of its blocks, 0.05)'),
  replayPrompts: z
    .string()
    .min(1)
    .optional()
    .describe('replay self: rows of an earlier task, whose prompts are answered too (default: those of --from RUN)'),
  replaySamples: z.int().min(2).optional().describe('replay self: rows that are sampled (default: 96)'),
  klWeight: z
    .number()
    .positive()
    .optional()
    .describe('weight of KL(start || now) on prompts and on what is replayed, such as 0.5 (default: none)'),
};

/** Answers to learn. */
export const SftMethod = z.strictObject({ kind: z.literal('sft'), ...rehearsal });
/** See {@link SftMethod}. */
export type SftMethod = z.infer<typeof SftMethod>;

/** Texts and documents, every token of which trains. */
export const PretrainMethod = z.strictObject({
  kind: z.literal('pretrain'),
  ...rehearsal,
  fromScratch: z
    .string()
    .optional()
    .describe(
      'instead of a model: config.json of a new one, or a file such as {"layers": 4, "hidden": 256, "heads": 4}',
    ),
  vocab: z
    .int()
    .min(257)
    .optional()
    .describe('ids of the tokenizer that is trained for a new model (default: as its config says, or 4096)'),
});
/** See {@link PretrainMethod}. */
export type PretrainMethod = z.infer<typeof PretrainMethod>;

const beta = z.number().positive().default(0.1).describe('how hard answers are pulled apart; simpo: 2');
const labelSmoothing = z
  .number()
  .min(0)
  .lt(0.5)
  .optional()
  .describe('share of pairs taken to be ranked the wrong way round (default: 0; exo_pair: 0.001)');

/** Direct preference optimisation: one answer over another, against the model as the run starts. */
export const DpoMethod = z.strictObject({
  kind: z.literal('dpo'),
  loss: z
    .enum([
      ...(['sigmoid', 'hinge', 'ipo', 'robust', 'exo_pair', 'nca_pair', 'sppo_hard'] as const),
      ...(['apo_zero', 'apo_down', 'sigmoid_norm'] as const),
    ])
    .default('sigmoid')
    .describe('loss of a preference; kto: kto or apo_zero_unpaired; cpo: sigmoid, hinge or ipo'),
  beta,
  labelSmoothing,
  rpoAlpha: z
    .number()
    .positive()
    .optional()
    .describe('weight of the loss of the chosen answers themselves, per token (default: none)'),
});
/** See {@link DpoMethod}. */
export type DpoMethod = z.infer<typeof DpoMethod>;

/** Answers that are marked good or bad, each by itself. */
export const KtoMethod = z.strictObject({
  kind: z.literal('kto'),
  loss: z.enum(['kto', 'apo_zero_unpaired']).default('kto'),
  beta,
});
/** See {@link KtoMethod}. */
export type KtoMethod = z.infer<typeof KtoMethod>;

/** Odds ratio preference optimisation: chosen answers are learned, and preferred, in one go and without a reference. */
export const OrpoMethod = z.strictObject({ kind: z.literal('orpo'), beta });
/** See {@link OrpoMethod}. */
export type OrpoMethod = z.infer<typeof OrpoMethod>;

const cpoAlpha = (preset: number) =>
  z.number().min(0).default(preset).describe('weight of the loss of the chosen answers, per token; simpo: 0');

/** Contrastive preference optimisation: DPO without a reference, and the loss of the chosen answers. */
export const CpoMethod = z.strictObject({
  kind: z.literal('cpo'),
  loss: z.enum(['sigmoid', 'hinge', 'ipo']).default('sigmoid'),
  beta,
  labelSmoothing,
  cpoAlpha: cpoAlpha(1),
});
/** See {@link CpoMethod}. */
export type CpoMethod = z.infer<typeof CpoMethod>;

/** Simple preference optimisation: log-probabilities per token, a target margin, no reference. */
export const SimpoMethod = z.strictObject({
  kind: z.literal('simpo'),
  beta: beta.unwrap().default(2),
  gamma: z.number().min(0).default(0.5).describe('margin that the chosen answer shall have'),
  labelSmoothing,
  cpoAlpha: cpoAlpha(0),
});
/** See {@link SimpoMethod}. */
export type SimpoMethod = z.infer<typeof SimpoMethod>;

/** A model that gives answers a number: the better the answer, the larger. */
export const RewardMethod = z.strictObject({
  kind: z.literal('reward'),
  center: z
    .number()
    .positive()
    .optional()
    .describe('weight of what keeps the rewards of a row around 0, such as 0.01 (default: none)'),
  rewardHead: z
    .string()
    .optional()
    .describe('head to start from: a safetensors file with score.weight [1, width] (default: a new one)'),
});
/** See {@link RewardMethod}. */
export type RewardMethod = z.infer<typeof RewardMethod>;

/** The objective. */
export const Method = z.discriminatedUnion('kind', [
  SftMethod,
  ClassifyMethod,
  PretrainMethod,
  DpoMethod,
  KtoMethod,
  OrpoMethod,
  CpoMethod,
  SimpoMethod,
  RewardMethod,
]);
export type Method = z.infer<typeof Method>;

/** Keys of methods that name a file. */
const FILES = ['replay', 'replayPrompts', 'fromScratch', 'rewardHead'] as const;

/** What stands in the place of a file where the model replays what it said itself. */
export const SELF = 'self';

/** The method as config.json keeps it: files from wherever the run goes on. */
export function absolutePaths(method: Method): Method {
  const given: Readonly<Record<string, unknown>> = method;
  const found = FILES.flatMap((key) => {
    const name = given[key];
    return typeof name === 'string' && name !== SELF ? [[key, resolve(name)] as const] : [];
  });
  return { ...method, ...Object.fromEntries(found) };
}
