import { z } from 'zod';
import { SHAPES } from '../data/shapes.ts';
import { BASE_WEIGHTS } from '../model/base-forms.ts';
import { Method } from './methods.ts';

const Pattern = z.union([
  z.string().regex(/^[^=]+=\d+(\.\d+)?(,[^=]+=\d+(\.\d+)?)*$/, 'must be MODULE=N,... such as q_proj=8,down_proj=32'),
  z.record(z.string(), z.number().positive()),
]);

/** Where an adapter goes. */
const place = {
  targets: z
    .union([z.string(), z.array(z.string()).min(1)])
    .default('all-linear')
    .describe(
      'all-linear, attention, mlp, module names (q_proj,v_proj), or a regular expression over full module names; ia3: k_proj,v_proj,down_proj',
    ),
  layers: z
    .string()
    .optional()
    .describe('layers that get an adapter, or with full train, such as 0-3,10, last:8 or every:2 (default: all)'),
  modulesToSave: z
    .array(z.string())
    .default([])
    .describe('modules that train in full beside the adapter, such as embed_tokens,lm_head,norm'),
};

const dropout = z.number().min(0).lt(1).default(0).describe('share of an adapter input that is dropped in training');

/** What LoRA and DoRA have in common. */
const lowRank = {
  rank: z.int().min(1).default(16).describe('rank of the update BA; vera: of its projections, 256'),
  alpha: z.number().positive().default(32).describe('the update is scaled by alpha / rank'),
  rsLora: z.boolean().default(false).describe('scale by alpha / sqrt(rank), for high ranks'),
  rankPattern: Pattern.optional().describe('ranks of single modules, such as down_proj=32'),
  alphaPattern: Pattern.optional().describe('alphas of single modules, such as down_proj=64'),
  dropout,
  addTokens: z
    .union([z.string().min(1), z.array(z.string()).min(1)])
    .optional()
    .describe(
      'new tokens: a list such as <order>,<ticket>, or a file with one on each line; of the embedding only their rows train',
    ),
};

/** LoRA (Hu et al. 2021, arXiv:2106.09685): W x + alpha / rank * B A x. */
export const LoraWeights = z.strictObject({
  kind: z.literal('lora'),
  ...lowRank,
  init: z
    .enum(['default', 'pissa', 'olora'])
    .default('default')
    .describe('what A and B begin as: random and zero, or the leading directions of the base weights'),
  ...place,
});

/** DoRA (Liu et al. 2024, arXiv:2402.09353): LoRA with a trained length for each row of the weights. */
export const DoraWeights = z.strictObject({ kind: z.literal('dora'), ...lowRank, ...place });

/** VeRA (Kopiczko et al. 2024, arXiv:2310.11454): vectors between frozen random projections. */
export const VeraWeights = z.strictObject({
  kind: z.literal('vera'),
  rank: z.int().min(1).default(256).describe('rank of the random projections'),
  dInitial: z.number().default(0.1).describe('what the inner vector begins as'),
  dropout,
  ...place,
});

/** (IA)^3 (Liu et al. 2022, arXiv:2205.05638): vectors that scale what modules put out, or what goes into them. */
export const Ia3Weights = z.strictObject({
  kind: z.literal('ia3'),
  ...place,
  targets: z.union([z.string(), z.array(z.string()).min(1)]).default('k_proj,v_proj,down_proj'),
  feedforward: z
    .union([z.string(), z.array(z.string())])
    .default('down_proj')
    .describe('targets whose input is scaled, not their output'),
});

/** Every weight of the model trains, or all but some. */
export const FullWeights = z.strictObject({
  kind: z.literal('full'),
  layers: place.layers,
  freeze: z
    .array(z.enum(['embed', 'head', 'norms']))
    .default([])
    .describe('what stays as it is: embed,head,norms'),
});
export type FullWeights = z.infer<typeof FullWeights>;

/** What trains. */
export const Weights = z.discriminatedUnion('kind', [LoraWeights, DoraWeights, VeraWeights, Ia3Weights, FullWeights]);
export type Weights = z.infer<typeof Weights>;

/** Rows in, and what of them is trained. */
export const DataConfig = z.strictObject({
  train: z.union([z.string(), z.array(z.string()).min(1)]).describe('training rows: files'),
  valid: z
    .union([z.string(), z.number().gt(0).lt(1), z.literal('none')])
    .optional()
    .describe('validation rows: a file, a share of the training rows, or none (default: automatic share)'),
  system: z.string().optional().describe('system prompt for rows without one: text, or a file that holds it'),
  format: z.enum(['auto', 'chat', 'raw']).default('auto').describe('how prompt and response rows become text'),
  trainOn: z.enum(['all', 'last']).default('all').describe('which assistant answers are trained'),
  maxLength: z
    .int()
    .min(2)
    .optional()
    .describe('longest row in tokens (default: 99.5th percentile within memory; of documents blocks of 1024)'),
  onLong: z.enum(['trim-context', 'drop', 'error']).default('trim-context').describe('what happens to longer rows'),
  role: z
    .array(z.string().regex(/^[^=]+=(system|user|assistant|tool)$/, 'must be THEIRS=OURS such as bot=assistant'))
    .default([])
    .describe('roles of the file as roles of ours, such as bot=assistant'),
  map: z
    .array(z.string().regex(/^.+=.+$/, 'must be THEIRS=OURS such as input=question'))
    .default([])
    .describe('columns of the file as columns of ours, such as input=question'),
  shape: z.enum(SHAPES).optional().describe('the columns to read where a row has those of several shapes'),
  allow: z.array(z.string()).default([]).describe('data error codes that are let pass, recorded in the run'),
});
export type DataConfig = z.infer<typeof DataConfig>;

/** The optimisation. */
export const TrainConfig = z.strictObject({
  epochs: z.number().positive().optional().describe('passes over the rows (default: by their number)'),
  steps: z.int().min(1).optional().describe('optimiser steps, instead of epochs'),
  batch: z.int().min(1).default(16).describe('rows of one optimiser step'),
  microBatch: z.int().min(1).optional().describe('rows computed at once (default: automatic)'),
  lr: z.number().positive().optional().describe('peak learning rate (default: by width and by what trains)'),
  schedule: z
    .enum(['constant', 'linear', 'cosine', 'wsd', 'inverse-sqrt'])
    .default('cosine')
    .describe('course of the learning rate; wsd: warm-up, stable, decay'),
  warmup: z.number().min(0).default(0.03).describe('warm-up steps, or a share of all steps below 1'),
  decay: z
    .number()
    .positive()
    .optional()
    .describe('wsd: last steps, or a share of all steps below 1, in which the rate falls (default: 0.2)'),
  minLr: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('linear, cosine, wsd: share of the peak rate that the last steps come down to (default: 0)'),
  optimizer: z
    .enum(['adamw', 'adamw-8bit', 'sgd', 'adafactor', 'lion'])
    .default('adamw')
    .describe('adamw-8bit keeps a quarter of the state, adafactor next to none'),
  weightDecay: z
    .number()
    .min(0)
    .default(0)
    .describe('weight decay, not of norms and biases: decoupled, for sgd part of the gradient'),
  beta1: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('AdamW: decay of the first moment; lion: its weight in the update (default: 0.9)'),
  beta2: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('AdamW: decay of the second moment (default: 0.999); lion: of the first (default: 0.99)'),
  eps: z.number().positive().optional().describe('AdamW: added to the root of the second moment (default: 1e-8)'),
  momentum: z.number().min(0).lt(1).optional().describe('sgd: share of the last update that is kept (default: 0.9)'),
  nesterov: z.boolean().optional().describe('sgd: look ahead along the momentum'),
  parameterScale: z
    .boolean()
    .optional()
    .describe('adafactor: rates relative to the root mean square of each tensor, as in the paper'),
  loraPlusRatio: z
    .number()
    .positive()
    .optional()
    .describe("LoRA+: rate of the adapter's B relative to A's, such as 16 (default: 1)"),
  neftuneAlpha: z
    .number()
    .positive()
    .optional()
    .describe('NEFTune: noise on the embeddings in training, such as 5 (default: none)'),
  routerLoss: z
    .number()
    .positive()
    .optional()
    .describe('experts: weight of the loss that spreads tokens over them, such as 0.001 (default: none)'),
  clip: z.number().min(0).default(1).describe('largest global gradient norm, 0 turns clipping off'),
  pack: z.boolean().default(true).describe('compute several rows of a micro-batch without padding between them'),
  shuffle: z.boolean().default(true).describe('a new order of rows in each epoch'),
  ema: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('decay of a running mean of what trains, such as 0.99: evaluated and kept in its place (default: none)'),
  seed: z.int().min(0).default(0).describe('seed of shuffling, dropout, initialisation and the split'),
  patience: z.int().min(1).optional().describe('evaluations without a better loss before the run stops early'),
});
export type TrainConfig = z.infer<typeof TrainConfig>;

/** The run folder and what is kept in it. */
export const OutputConfig = z.strictObject({
  out: z.string().default('runs').describe('folder that holds the runs'),
  name: z.string().optional().describe('name of the run (default: date, model, number)'),
  saveEvery: z.int().min(1).optional().describe('steps between checkpoints (default: ten a run)'),
  evalEvery: z.int().min(1).optional().describe('steps between evaluations (default: ten a run)'),
  keep: z.int().min(0).default(2).describe('checkpoints kept besides best and last'),
  eval: z.boolean().default(true).describe('measure what was learned and forgotten once the run is done'),
  log: z.enum(['none', 'tensorboard']).default('none').describe('further logs that are written'),
});
export type OutputConfig = z.infer<typeof OutputConfig>;

/** How much may be forgotten. During training the trainer acts when it is threatened; at the end it chooses what keeps it. */
export const ForgetConfig = z.strictObject({
  generalText: z
    .string()
    .regex(/^\d+(\.\d+)?\s*%$/, 'must be a percentage such as 3%')
    .refine((text) => Number.parseFloat(text) > 0, 'must be above 0%')
    .optional()
    .describe('most by which the perplexity of general text may rise, such as 3%: the run keeps to it'),
  suite: z
    .number()
    .positive()
    .max(100)
    .optional()
    .describe('most points by which the accuracy on the probes of general ability may fall, such as 2'),
});

/** Where and with how much the numbers are computed. */
export const ComputeConfig = z.strictObject({
  device: z.enum(['auto', 'cpu', 'webgpu']).default('auto').describe('what computes'),
  threads: z.int().min(1).optional().describe('threads of the CPU engine (default: all cores)'),
  memory: z
    .string()
    .optional()
    .describe('memory budget such as 3GB, decides what the forward pass keeps (default: what is free)'),
  baseWeights: z
    .enum(['auto', ...BASE_WEIGHTS])
    .default('auto')
    .describe(
      'frozen weights in memory: widened to f32, as they lie in the file, or rounded to 4 (nf4) or 8 bits (int8)',
    ),
});
export type ComputeConfig = z.infer<typeof ComputeConfig>;

/**
 * A run: what `tunesmith.config.*` holds, what the flags of `train` set, and, with every default filled in, what
 * `config.json` of the run freezes.
 */
export const RunConfig = z.strictObject({
  model: z.string().describe('catalogue name, Hugging Face id, folder, .gguf file, or run'),
  data: z.union([z.string(), DataConfig]).describe('training rows, or the data section'),
  initAdapter: z.string().optional().describe('PEFT adapter folder to start from; brings its rank, alpha and targets'),
  method: Method.default({ kind: 'sft' }),
  weights: Weights.prefault({ kind: 'lora' }),
  train: TrainConfig.prefault({}),
  forget: ForgetConfig.prefault({}),
  output: OutputConfig.prefault({}),
  compute: ComputeConfig.prefault({}),
});
export type RunConfig = z.infer<typeof RunConfig>;
/** What a user may write: every default left out. */
export type RunConfigInput = z.input<typeof RunConfig>;

/** Gives `tunesmith.config.ts` its types; returns its argument. */
export function defineRun(config: RunConfigInput): RunConfigInput {
  return config;
}
