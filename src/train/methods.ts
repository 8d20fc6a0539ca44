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

const beta = z
  .number()
  .positive()
  .default(0.1)
  .describe(
    'how hard answers are pulled apart; simpo: 2; grpo, rloo: weight of the distance from the start, 0 and 0.05',
  );
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
    .describe(
      'loss of a preference; kto: kto or apo_zero_unpaired; cpo: sigmoid, hinge or ipo; grpo: grpo, bnpo, dr_grpo, dapo (default) or cispo',
    ),
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

/** What answers that the model draws itself are trained with. */
const online = {
  reward: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe(
      'what answers are worth: exact, contains, numeric, slots, f1, rouge-l, bleu, chrf, regex[:PATTERN], json[:SCHEMA.json], code, length:MIN-MAX, judge:URL#MODEL, a file ./reward.ts, or a run of --method reward; several are added, 0.2*NAME weighs one',
    ),
  group: z.int().min(2).default(8).describe('answers that are drawn to each prompt, and compared with one another'),
  maxTokens: z.int().min(1).default(256).describe('longest answer in tokens'),
  temperature: z.number().positive().default(1).describe('spread of the answers that are drawn'),
  epsilon: z.number().positive().lt(1).default(0.2).describe('how far a step may move a probability before it stops'),
  epsilonHigh: z
    .number()
    .positive()
    .optional()
    .describe('the same upwards (default: as --epsilon; cispo: largest ratio, 5)'),
  iterations: z.int().min(1).default(1).describe('updates on the same answers'),
  maskTruncated: z.boolean().default(false).describe('leave answers that were cut at --max-tokens out of the loss'),
  rolloutPrecision: z
    .enum(['exact', 'fast'])
    .default('exact')
    .describe('how answers are drawn; fast: from quantised base weights, probabilities stay exact'),
};
const klWeight = (preset: number) =>
  z.number().min(0).default(preset).describe('weight of the distance from the model as the run starts');

/** Group relative policy optimisation: answers are compared with others to the same prompt. */
export const GrpoMethod = z.strictObject({
  kind: z.literal('grpo'),
  loss: z.enum(['grpo', 'bnpo', 'dr_grpo', 'dapo', 'cispo']).default('dapo'),
  beta: klWeight(0),
  scaleRewards: z
    .enum(['group', 'batch', 'none'])
    .default('group')
    .describe('advantages are divided by the standard deviation of the rewards of a group, of the batch, or not'),
  importance: z
    .enum(['token', 'sequence'])
    .default('token')
    .describe('ratios of probabilities: of each token, or of the whole answer (GSPO)'),
  ...online,
});
/** See {@link GrpoMethod}. */
export type GrpoMethod = z.infer<typeof GrpoMethod>;

/** REINFORCE leave-one-out: each answer against the mean of the others to its prompt; the distance from the start counts as reward. */
export const RlooMethod = z.strictObject({
  kind: z.literal('rloo'),
  beta: klWeight(0.05),
  scaleRewards: z.enum(['batch', 'none']).default('none'),
  ...online,
});
/** See {@link RlooMethod}. */
export type RlooMethod = z.infer<typeof RlooMethod>;

/** Methods that train on answers that the model draws itself. */
export type OnlineMethod = GrpoMethod | RlooMethod;

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
  GrpoMethod,
  RlooMethod,
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
