// Shape legend: N tokens, D model width, C rows of a micro-batch (padded), K classes
import type { MicroBatch } from '../../data/index.ts';
import type { Engine, Handle, Program } from '../../engine/index.ts';
import { type Builder, backward, createBuilder, finishGraph, type Graph, type Value } from '../../graph/index.ts';
import { fillNormal } from '../../math/random.ts';
import { finalNorm, outerTensors } from '../../model/architectures.ts';
import type { ModelConfig } from '../../model/config.ts';
import { f32, type HostTensor, i32 } from '../../tensor/tensor.ts';
import type { HeadMode } from '../head.ts';

type Handles = Record<string, Handle>;

/** How a network classifies: one of the classes for each row, or any number of them; or what number it gives a row, as a reward. */
export interface Classifier {
  readonly kind: 'single' | 'multi' | 'reward';
  readonly classes: number;
  /** [K] what a row (single) or a term (multi) of each class counts in the loss; undefined counts all alike. */
  readonly weights?: Float32Array | undefined;
}

/** Name of the head among the tensors outside the layers, [K, D]. */
export const SCORE = 'score';
/** The head's name in files, in transformers' layout. */
export const SCORE_TENSOR = 'score.weight';

/** A new head, normal with the deviation that transformers begins with. */
export function initialScore(classes: number, width: number, seed: number): HostTensor {
  const data = fillNormal(new Float32Array(classes * width), 0, 0.02, { seed, purpose: 'score' });
  return f32(data, [classes, width]);
}

/** Sizes of a program of the head. */
export interface ClassifierShape {
  readonly tokens: number;
  readonly config: ModelConfig;
  readonly rows: number;
  readonly classifier: Pick<Classifier, 'kind' | 'classes'>;
}

/**
 * Final norm and a linear head at the last token of each row, as sequence classification in transformers has it, and its loss.
 *
 * Inputs: `x` [N, D], those of the final norm, `score` [K, D], `position` [C] i32, `target` [C, K] (1 for the classes of a row),
 * `weight` [C, K] (0 for padding). Outputs: `logits` [C, K]; or `nll` [C, 1], the cross entropy of the softmax, or for several labels the mean over
 * the classes of the binary cross entropies, or of a reward the logit itself; with gradients also `dx` [N, D] and `d.score` [K, D], and those of the norm under full training.
 */
export function classifierGraph({ tokens, config, rows, classifier }: ClassifierShape, mode: HeadMode): Graph {
  const { kind, classes } = classifier;
  const g = createBuilder();
  const x_ND = g.input('x', [tokens, config.hiddenSize]);
  const score_KD = g.input(SCORE, [classes, config.hiddenSize]);
  const position_C = g.input('position', [rows], 'i32');
  const picked_CD = g.gather(x_ND, position_C);
  const logits_CK = g.matMul(finalNorm(g, config, picked_CD), score_KD, { transB: true });
  if (mode === 'logits') return finishGraph(g, { logits: logits_CK });
  if (mode === 'loss' && kind === 'reward') return finishGraph(g, { nll: logits_CK });
  const weight_CK = g.input('weight', [rows, classes]);
  // What a reward is to be depends on those of other rows: its weight is the derivative of their loss.
  const target = () => g.input('target', [rows, classes]);
  const { nll, dLogits } =
    kind === 'reward'
      ? { nll: logits_CK, dLogits: weight_CK }
      : (kind === 'single' ? softmaxLoss : binaryLoss)(g, logits_CK, target(), weight_CK);
  if (mode === 'loss') return finishGraph(g, { nll });
  const norms = mode === 'gradient' ? [] : outerTensors(config).filter(({ name }) => name.startsWith('norm'));
  const wanted = [picked_CD, score_KD, ...norms.map(({ name, shape }) => g.input(name, shape))];
  const [dPicked, dScore, ...dNorms] = backward(g, [[logits_CK, dLogits]], wanted);
  return finishGraph(g, {
    nll,
    dx: g.scatterAdd(g.fill(0, [tokens, config.hiddenSize]), position_C, dPicked!),
    [`d.${SCORE}`]: dScore!,
    ...Object.fromEntries(norms.map(({ name }, i) => [`d.${name}`, dNorms[i]!])),
  });
}

interface Loss {
  readonly nll: Value;
  readonly dLogits: Value;
}

/** The weight of a row is that of its class. */
function softmaxLoss(g: Builder, logits_CK: Value, target_CK: Value, weight_CK: Value): Loss {
  const max_C1 = g.reduceMax(logits_CK, [-1]);
  const e_CK = g.exp(g.sub(logits_CK, max_C1));
  const sum_C1 = g.reduceSum(e_CK, [-1]);
  const own_C1 = g.reduceSum(g.mul(logits_CK, target_CK), [-1]);
  const weight_C1 = g.reduceSum(g.mul(weight_CK, target_CK), [-1]);
  const nll = g.mul(g.sub(g.add(g.log(sum_C1), max_C1), own_C1), weight_C1);
  return { nll, dLogits: g.mul(g.sub(g.div(e_CK, sum_C1), target_CK), weight_C1) };
}

/** log(1 + e^z) - y z, written so that nothing overflows. */
function binaryLoss(g: Builder, logits_CK: Value, target_CK: Value, weight_CK: Value): Loss {
  const one = g.scalar(1);
  const share = g.scalar(1 / logits_CK.shape[1]!);
  const small_CK = g.exp(g.neg(g.abs(logits_CK)));
  const positive_CK = g.mul(g.add(logits_CK, g.abs(logits_CK)), g.scalar(0.5));
  const softplus_CK = g.add(positive_CK, g.log(g.add(one, small_CK)));
  const terms_CK = g.mul(g.sub(softplus_CK, g.mul(target_CK, logits_CK)), weight_CK);
  const p_CK = g.div(
    g.exp(g.sub(g.mul(logits_CK, g.scalar(0.5)), g.mul(g.abs(logits_CK), g.scalar(0.5)))),
    g.add(one, small_CK),
  );
  return {
    nll: g.mul(g.reduceSum(terms_CK, [-1]), share),
    dLogits: g.mul(g.mul(g.sub(p_CK, target_CK), weight_CK), share),
  };
}

/** What the head needs of the network that it belongs to. */
export interface HeadPlace {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly outer: Readonly<Handles>;
  readonly classifier: Classifier;
  /** The program of a key, compiled when it is first asked for. */
  readonly program: (key: string, graph: () => Graph) => Program;
}

/** What came of the head: logits [C, K] or losses [C, 1], padded at the end. */
export interface ClassifierResult {
  readonly nll: Handle[];
  readonly logits: Handle[];
  readonly dx: Handle | undefined;
  /** Gradients, by the names of the tensors outside the layers. */
  readonly weights: Handles;
}

/** Rows come in multiples of this: each number is a program to compile. */
const UNIT = 16;

/** Runs the head over the rows of a micro-batch. */
export function classifierHead(place: HeadPlace, batch: MicroBatch, x: Handle, mode: HeadMode): ClassifierResult {
  const { engine, config, outer, classifier } = place;
  const tokens = batch.ids.length;
  const rows = Math.ceil(batch.lossTokens / UNIT) * UNIT;
  const shape = { tokens, config, rows, classifier };
  const program = place.program(`classify|${mode}|${tokens}|${rows}`, () => classifierGraph(shape, mode));
  const position = new Int32Array(rows);
  position.set(batch.lossPositions);
  const inputs: Handles = { position: engine.upload(i32(position, [rows])) };
  if (classifier.kind === 'reward') inputs.weight = engine.upload(f32(rewardWeights(batch, rows), [rows, 1]));
  else if (mode !== 'logits') Object.assign(inputs, targetInputs(engine, batch, classifier, rows));
  const out = engine.run(program, { ...outer, ...inputs, x });
  engine.release(...Object.values(inputs));
  const { nll, logits, dx, ...gradients } = out;
  const weights = Object.fromEntries(Object.entries(gradients).map(([name, handle]) => [name.slice(2), handle!]));
  return { nll: nll === undefined ? [] : [nll], logits: logits === undefined ? [] : [logits], dx, weights };
}

/** What a classifier makes of the rows of a micro-batch: `logits` [C, K], and `states` [C, D], the mean of what each row's tokens give. Padded at the end. */
export function classifierStates(
  place: HeadPlace,
  batch: MicroBatch,
  x: Handle,
): { readonly logits: Handle; readonly states: Handle } {
  const { engine, config, outer, classifier } = place;
  const tokens = batch.ids.length;
  const rows = Math.ceil(batch.lossTokens / UNIT) * UNIT;
  const program = place.program(`classify|states|${tokens}|${rows}`, () =>
    statesGraph({ tokens, config, rows, classifier }),
  );
  const position = new Int32Array(rows);
  position.set(batch.lossPositions);
  const share = new Float32Array(rows * tokens);
  for (const [row, { from, count }] of batch.spans.entries()) {
    share.fill(1 / count, row * tokens + from, row * tokens + from + count);
  }
  const inputs = {
    position: engine.upload(i32(position, [rows])),
    share: engine.upload(f32(share, [rows, tokens])),
  };
  const { logits, states } = engine.run(program, { ...outer, ...inputs, x });
  engine.release(...Object.values(inputs));
  return { logits: logits!, states: states! };
}

/** Inputs as those of {@link classifierGraph} for logits, and `share` [C, N], of which each row adds up to 1 over its own tokens. */
function statesGraph({ tokens, config, rows, classifier: { classes } }: ClassifierShape): Graph {
  const g = createBuilder();
  const h_ND = finalNorm(g, config, g.input('x', [tokens, config.hiddenSize]));
  const last_CD = g.gather(h_ND, g.input('position', [rows], 'i32'));
  const logits = g.matMul(last_CD, g.input(SCORE, [classes, config.hiddenSize]), { transB: true });
  return finishGraph(g, { logits, states: g.matMul(g.input('share', [rows, tokens]), h_ND) });
}

/** [C] what the gradient of each reward counts; as a measurement has none, each counts 1. */
function rewardWeights({ lossWeights, lossTokens }: MicroBatch, rows: number): Float32Array {
  const weights = new Float32Array(rows);
  weights.set(lossWeights ?? new Float32Array(lossTokens).fill(1));
  return weights;
}

function targetInputs(
  engine: Engine,
  batch: MicroBatch,
  { kind, classes, weights }: Classifier,
  rows: number,
): Handles {
  const target = new Float32Array(rows * classes);
  const weight = new Float32Array(rows * classes);
  if (batch.classes === undefined) throw new Error('internal: rows without classes reach a classifier');
  for (const [row, own] of batch.classes.entries()) {
    weight.fill(1, row * classes, (row + 1) * classes);
    for (const k of own) target[row * classes + k] = 1;
    // Of several labels only those that a row has are weighted, as with pos_weight in torch.
    for (const k of kind === 'multi' ? own : classesUpTo(classes)) weight[row * classes + k] = weights?.[k] ?? 1;
  }
  return {
    target: engine.upload(f32(target, [rows, classes])),
    weight: engine.upload(f32(weight, [rows, classes])),
  };
}

function classesUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, k) => k);
}
