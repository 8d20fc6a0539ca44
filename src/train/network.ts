import type { MicroBatch } from '../data/index.ts';
import type { Engine, Handle, Program } from '../engine/index.ts';
import { forwardProgram, type Keep, type Segment, segmentPrograms } from '../graph/index.ts';
import { type AdapterHandles, placeTokenRows } from '../model/adapter-handles.ts';
import { type AdaptedModules, adaptedKey, adaptedLinear, derivedGraph } from '../model/adapters/index.ts';
import { decoderLayer, layerSignature, linearModules } from '../model/architectures.ts';
import type { Layout } from '../model/attention.ts';
import type { BaseHandles } from '../model/base.ts';
import type { ModelConfig } from '../model/config.ts';
import { baseLinear } from '../model/linear.ts';
import { type Classifier, classifierHead, classifierStates, SCORE } from './classify/head.ts';
import type { HeadMode } from './head.ts';
import { disturbed, dropoutMasks, embed, sharedInputs } from './network-inputs.ts';
import { outerGradients } from './outer-gradients.ts';
import { cached } from './programs.ts';
import { softHead } from './retain/soft-head.ts';
import { ROUTER_LOAD, routerInputs, routerLossOf, routerSlope } from './router-loss.ts';
import { type TokenRows, tokenRowsOf } from './token-rows.ts';
import { firstTrained, gradientMode, nothingTrained, type Trained, trainedByAdapter, withScore } from './trained.ts';
import { type HeadResult, vocabularyHead } from './vocabulary-head.ts';

type Handles = Record<string, Handle>;

/** A model in an engine, ready for forward and backward passes. Trained handles are replaced after each update. */
export interface Network {
  readonly engine: Engine;
  readonly config: ModelConfig;
  /** See {@link BaseHandles.isAtRest}. */
  readonly isAtRest: boolean;
  /** Inputs of each layer's programs: base weights and adapter together. */
  readonly layers: Handles[];
  /** Tensors outside the layers, by their names; of tied embeddings `head` is the same handle as `embed`; a classifier's is `score`. */
  readonly outer: Handles;
  /** Set where rows are classified, and no token is predicted. */
  readonly classifier: Classifier | undefined;
  readonly adapter: AdapterHandles | undefined;
  readonly adapted: readonly AdaptedModules[];
  readonly trained: Trained;
  /** Whether head and embedding are one tensor. */
  readonly isTied: boolean;
  /** Tokens whose rows train by themselves (`embed.rows`, `head.rows` of `outer`), by their place among them. */
  readonly tokenRows: TokenRows | undefined;
  readonly keep: Keep;
  readonly dropout: DropoutPlan | undefined;
  readonly neftune: NeftunePlan | undefined;
  /** What the auxiliary loss of routers is multiplied by. */
  readonly routerLoss: number | undefined;
  /** What logits are divided by, in training and in evaluation; answers are generated without. */
  readonly temperature: number | undefined;
  readonly programs: Map<string, Program>;
  /** The slices of the head, once they are asked for. */
  readonly slices: Map<Handle, readonly Handle[]>;
}

/** Dropout of the adapters' inputs: a share, and the seed of its masks. */
export interface DropoutPlan {
  readonly share: number;
  readonly seed: number;
}

/** NEFTune (Jain et al. 2023, arXiv:2310.05914): noise on the embeddings in training, uniform within alpha / sqrt(tokens of the row x width). */
export interface NeftunePlan {
  readonly alpha: number;
  readonly seed: number;
}

/** What a network is made of. */
export interface NetworkOptions {
  readonly engine: Engine;
  readonly base: BaseHandles;
  readonly adapter?: AdapterHandles | undefined;
  /** Default: what the adapter trains, or nothing. A classifier's head always trains. */
  readonly trained?: Trained | undefined;
  /** With its head [K, D]. */
  readonly classifier?: (Classifier & { readonly score: Handle }) | undefined;
  readonly keep?: Keep;
  readonly dropout?: DropoutPlan | undefined;
  readonly neftune?: NeftunePlan | undefined;
  readonly routerLoss?: number | undefined;
  readonly temperature?: number | undefined;
}

/** Puts base and adapter together. */
export function createNetwork({
  engine,
  base,
  adapter,
  trained = adapter === undefined ? nothingTrained(base.config) : trainedByAdapter(base.config, adapter.spec),
  classifier,
  keep = 'matmul',
  dropout,
  neftune,
  routerLoss,
  temperature,
}: NetworkOptions): Network {
  const isTied = base.config.tiedEmbeddings && adapter?.spec.tie !== 'cut';
  const outer: Handles = { ...base.outer, ...adapter?.outer };
  if (isTied) tie(outer);
  return {
    engine,
    config: base.config,
    isAtRest: base.isAtRest,
    layers: base.layers.map((layer, i) => ({ ...layer, ...adapter?.layers[i] })),
    outer: {
      ...outer,
      ...(classifier === undefined ? {} : { [SCORE]: classifier.score }),
    },
    classifier,
    adapter,
    adapted: adapter?.spec.modules ?? base.layers.map(() => new Map()),
    trained: classifier === undefined ? trained : withScore(trained),
    isTied,
    tokenRows: tokenRowsOf(adapter?.spec.tokenRows),
    keep,
    dropout,
    neftune,
    routerLoss,
    temperature,
    programs: new Map(),
    slices: new Map(),
  };
}

/** What is one tensor with the embedding, or with rows of it. */
function tie(outer: Handles): void {
  outer.head = outer.embed!;
  if (outer['embed.rows'] !== undefined) outer['head.rows'] = outer['embed.rows'];
}

/** Brings up to date what follows from trained tensors: after each change of them. */
export function refreshDerived(net: Network): void {
  const { engine, config, adapted } = net;
  if (net.isTied) tie(net.outer);
  if (net.tokenRows !== undefined) placeTokenRows(engine, net.adapter!.spec, net.outer);
  for (const [layer, own] of adapted.entries()) {
    const modules = linearModules(config, layer);
    const graph = derivedGraph(own, modules, (g) => baseLinear(g, modules));
    if (graph === undefined) continue;
    const inputs = net.layers[layer]!;
    const fresh = engine.run(engine.compile(graph), inputs);
    engine.release(...Object.keys(fresh).map((name) => inputs[name]!));
    Object.assign(inputs, fresh);
  }
}

/** Results of one micro-batch: handles that the caller reads and releases. */
export interface MicroStep {
  /** -log p of each target, [C, 1] for each chunk of positions; padding at the end of a chunk is not to be counted. */
  readonly nll: readonly Handle[];
  /** Gradients of the summed loss, by trained name, for each layer. */
  readonly layers: readonly Handles[];
  /** Of the tensors outside the layers that train. */
  readonly outer: Handles;
  /** Tokens with loss. */
  readonly tokens: number;
  /** Cross entropy of each distribution that was to be met, [C, 1] for each chunk of positions; padded as `nll`. */
  readonly soft?: readonly Handle[];
}

/** Forward and backward pass over one micro-batch. Dropout and noise are functions of the step and the row, wherever the row lies. */
export function microStep(net: Network, batch: MicroBatch, step: number): MicroStep {
  const half = forwardHalf(net, batch, step);
  const mode = gradientMode(net.trained, isShared(net));
  const head = lossHead(net, batch, half.x, mode);
  if (batch.soft === undefined) return backwardHalf(net, batch, half, head);
  const soft = softHead(net, batch, half.x, mode, head);
  return { ...backwardHalf(net, batch, half, { ...soft, nll: head.nll }), soft: soft.nll };
}

/**
 * As {@link microStep}, for a gradient that is not that of the summed loss: `weigh` is given -log p of each target, and says what the gradient of each
 * counts. One forward pass serves both. What comes back has no losses any more.
 */
export async function weighedMicroStep(
  net: Network,
  batch: MicroBatch,
  step: number,
  weigh: (nll: Float64Array) => Float32Array,
): Promise<MicroStep> {
  const half = forwardHalf(net, batch, step);
  const nll = await readLosses(net.engine, lossHead(net, batch, half.x, 'loss').nll, batch.lossTokens);
  const weighed: MicroBatch = { ...batch, lossWeights: weigh(nll) };
  const head = lossHead(net, weighed, half.x, gradientMode(net.trained, isShared(net)));
  net.engine.release(...head.nll);
  return { ...backwardHalf(net, weighed, half, { ...head, nll: [] }), tokens: 0 };
}

/** A micro-batch after its forward pass: what the backward pass needs. */
interface ForwardHalf {
  /** What the last layer gives. */
  readonly x: Handle;
  readonly first: number;
  readonly kept: { x: Handle; saved: Handles; dropout: Handles }[];
  readonly shared: Handles;
  readonly loads: readonly Handle[];
}

function forwardHalf(net: Network, batch: MicroBatch, step: number): ForwardHalf {
  const { engine, config } = net;
  const layout = layoutOf(batch);
  const shared = { ...sharedInputs(net, batch), ...(net.routerLoss === undefined ? {} : routerInputs(engine, batch)) };
  const loads: Handle[] = [];
  const first = firstTrained(net.trained);
  let x = disturbed(net, batch, embed(net, batch), step);
  const kept: { x: Handle; saved: Handles; dropout: Handles }[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const dropout = dropoutMasks(net, layer, batch, step);
    const { forward } = layerPrograms(net, layer, layout, layer >= first);
    const {
      y,
      [ROUTER_LOAD]: load,
      ...saved
    } = engine.run(forward, { ...net.layers[layer], ...shared, ...dropout, x });
    if (load !== undefined) loads.push(load);
    if (layer >= first) kept.push({ x, saved, dropout });
    else engine.release(x, ...Object.values(dropout));
    x = y!;
  }
  return { x, first, kept, shared, loads };
}

/** Everything that the forward pass left is released. */
function backwardHalf(net: Network, batch: MicroBatch, half: ForwardHalf, head: HeadResult): MicroStep {
  const { engine, config } = net;
  const { first, kept, shared, loads } = half;
  const layout = layoutOf(batch);
  engine.release(half.x);
  if (loads.length > 0) Object.assign(shared, routerSlope(net, loads, batch, net.routerLoss!));
  let dy = head.dx!;
  const layers: Handles[] = Array.from({ length: config.layers }, () => ({}));
  for (let layer = config.layers - 1; layer >= first; layer--) {
    const { x: input, saved, dropout } = kept.pop()!;
    const { backward } = layerPrograms(net, layer, layout, true);
    const grads = engine.run(backward!, { ...net.layers[layer], ...shared, ...dropout, ...saved, x: input, dy });
    engine.release(input, dy, ...Object.values(saved), ...Object.values(dropout));
    for (const name of net.trained.layers[layer]!) layers[layer]![name] = grads[`d.${name}`]!;
    dy = grads['d.x']!;
  }
  const outer = outerGradients(net, batch, head, dy);
  engine.release(...Object.values(shared));
  return { nll: head.nll, layers, outer, tokens: batch.lossTokens };
}

/** Forward pass only: -log p of each target, as in {@link MicroStep.nll}. */
export function forwardLoss(net: Network, batch: MicroBatch): readonly Handle[] {
  return forwardHead(net, batch, 'loss').nll;
}

/** Forward pass only: the logits that predict each target, [C, V] (or of classes [C, K]) for each chunk of positions, padded as {@link MicroStep.nll}. */
export function forwardLogits(net: Network, batch: MicroBatch): readonly Handle[] {
  return forwardHead(net, batch, 'logits').logits;
}

/** Forward pass only: -log p of each target, as {@link forwardLoss}, and what the first `layers` layers make of each token, [N, D]. */
export function forwardStates(
  net: Network,
  batch: MicroBatch,
  layers: number,
): { readonly nll: readonly Handle[]; readonly states: Handle } {
  let states: Handle | undefined;
  const keep = (x: Handle, layer: number) => {
    if (layer !== layers) return false;
    states = x;
    return true;
  };
  const { nll } = forwardHead(net, batch, 'loss', keep);
  if (states === undefined) throw new Error(`internal: a model without ${layers} layers`);
  return { nll, states };
}

/** Forward pass only, of what classifies. See {@link classifierStates}. */
export function forwardClasses(net: Network, batch: MicroBatch): { readonly logits: Handle; readonly states: Handle } {
  const { classifier } = net;
  if (classifier === undefined) throw new Error('internal: a network without a classifier is asked for classes');
  return throughLayers(net, batch, (x) => classifierStates(classifierPlace(net, classifier), batch, x));
}

function forwardHead(net: Network, batch: MicroBatch, mode: 'logits' | 'loss', keep?: Keeper): HeadResult {
  return throughLayers(net, batch, (x) => lossHead(net, batch, x, mode), keep);
}

/** Given what so many layers made of the tokens; what it takes is not released. */
type Keeper = (x: Handle, layers: number) => boolean;

/** What a head makes of what the last layer gives. */
function throughLayers<T>(net: Network, batch: MicroBatch, head: (x: Handle) => T, keep: Keeper = () => false): T {
  const { engine, config } = net;
  const layout = layoutOf(batch);
  const shared = sharedInputs(net, batch);
  let x = embed(net, batch);
  for (let layer = 0; layer < config.layers; layer++) {
    const key = `eval|${layerKey(net, layer, layout)}`;
    const program = cached(net, key, () =>
      forwardProgram(segmentOf({ ...net, dropout: undefined, routerLoss: undefined }, layer, layout)),
    );
    const { y } = engine.run(program, { ...net.layers[layer], ...shared, x });
    if (!keep(x, layer)) engine.release(x);
    x = y!;
  }
  const result = head(x);
  if (!keep(x, config.layers)) engine.release(x);
  engine.release(...Object.values(shared));
  return result;
}

/** Reads the losses of a micro-batch, one for each of its targets, and releases them. */
export async function readLosses(engine: Engine, nll: readonly Handle[], count: number): Promise<Float64Array> {
  const parts = await Promise.all(nll.map((handle) => engine.read(handle)));
  engine.release(...nll);
  const losses = new Float64Array(count);
  let at = 0;
  for (const { data } of parts) {
    const take = Math.min(data.length, count - at);
    for (let i = 0; i < take; i++) losses[at + i] = data[i] as number;
    at += take;
  }
  return losses;
}

function layoutOf(batch: MicroBatch): Layout {
  const { ids, rows, length, dense, shared } = batch;
  return { tokens: ids.length, rows, length, dense, shared: shared?.cells.length };
}

function layoutKey({ tokens, rows, length, dense, shared }: Layout): string {
  return `${tokens},${rows},${length},${dense},${shared}`;
}

/** Equal for layers that have the same programs. */
function layerKey(net: Network, layer: number, layout: Layout): string {
  return `${layoutKey(layout)}|${layerSignature(net.config, layer, layout)}|${adaptedKey(net.adapted[layer]!)}`;
}

function segmentOf(net: Network, layer: number, layout: Layout): Segment {
  const { config, routerLoss } = net;
  return (g, beside) => {
    const x_ND = g.input('x', [layout.tokens, config.hiddenSize]);
    const modules = linearModules(config, layer);
    const dropout = net.dropout !== undefined;
    const linear = adaptedLinear(g, modules, { adapted: net.adapted[layer]!, dropout, base: baseLinear(g, modules) });
    const onRouting = routerLoss === undefined ? undefined : routerLossOf(g, beside);
    return decoderLayer(g, x_ND, { config, layer, layout, linear, onRouting });
  };
}

function layerPrograms(
  net: Network,
  layer: number,
  layout: Layout,
  trained: boolean,
): { readonly forward: Program; readonly backward: Program | undefined } {
  const names = net.trained.layers[layer]!;
  const key = `${layerKey(net, layer, layout)}|${trained ? names.join(',') : 'frozen'}`;
  const known = net.programs.get(`forward|${key}`);
  if (known !== undefined) return { forward: known, backward: net.programs.get(`backward|${key}`) };
  const segment = segmentOf(net, layer, layout);
  if (!trained) return { forward: cached(net, `forward|${key}`, () => forwardProgram(segment)), backward: undefined };
  // The first trained layer's own d.x is not needed, but a program without it would be compiled anew for each layout.
  const { forward, backward } = segmentPrograms(segment, ['x', ...names], net.keep);
  return {
    forward: cached(net, `forward|${key}`, () => forward),
    backward: cached(net, `backward|${key}`, () => backward),
  };
}

function lossHead(net: Network, batch: MicroBatch, x: Handle, mode: HeadMode): HeadResult {
  const { classifier } = net;
  const config = net.temperature === undefined ? net.config : { ...net.config, temperature: net.temperature };
  if (classifier === undefined) return vocabularyHead({ ...net, config }, batch, x, mode);
  return classifierHead(classifierPlace(net, classifier), batch, x, mode);
}

function classifierPlace(net: Network, classifier: Classifier) {
  const program = (key: string, graph: () => Parameters<Engine['compile']>[0]) => cached(net, key, graph);
  return { ...net, classifier, program };
}

/** Whether the head's gradient is the embedding's too. */
function isShared({ isTied, classifier }: Network): boolean {
  return isTied && classifier === undefined;
}
