// Shape legend: N tokens, D model width, V vocabulary, S rows of a slice of it, C positions of one chunk
import type { MicroBatch } from '../data/index.ts';
import type { Handle } from '../engine/index.ts';
import { createBuilder, finishGraph } from '../graph/index.ts';
import type { ModelConfig } from '../model/config.ts';
import { headSlices } from '../model/head-slices.ts';
import { f32, i32 } from '../tensor/tensor.ts';
import {
  type HeadMode,
  headChunks,
  headEndGraph,
  headGraph,
  headSliceGraph,
  headStartGraph,
  type SliceMode,
} from './head.ts';
import { cached, type ProgramCache, sumInto } from './programs.ts';
import { placesOf, type TokenRows } from './token-rows.ts';
import { gradientMode, type Trained } from './trained.ts';

type Handles = Record<string, Handle>;

/** What came of a head, for each chunk of positions: logits [C, V] or losses [C, 1]. One of the two is empty. */
export interface HeadResult {
  readonly nll: Handle[];
  readonly logits: Handle[];
  readonly dx: Handle | undefined;
  /** Gradients of what trains outside the layers, by name. */
  readonly weights: Handles;
}

/** What the head needs of the network that it belongs to. */
export interface HeadPlace extends ProgramCache {
  readonly config: ModelConfig;
  readonly outer: Readonly<Handles>;
  readonly slices: Map<Handle, readonly Handle[]>;
  readonly trained: Pick<Trained, 'outer'>;
  readonly isTied: boolean;
  readonly tokenRows: TokenRows | undefined;
}

/** Runs the head over the positions with loss: slice by slice of the vocabulary, unless it is small or trains. */
export function vocabularyHead(
  place: HeadPlace,
  batch: MicroBatch,
  x: Handle,
  mode: HeadMode,
  slices: readonly number[] = headSlices(place.config.vocabSize, place.config.hiddenSize),
): HeadResult {
  return isSliced(place, mode, slices) ? slicedHead(place, batch, x, mode, slices) : wholeHead(place, batch, x, mode);
}

/** Slices share the memory of a head that stays where it is; one that trains is another after each step. */
export function isSliced(place: HeadPlace, mode: HeadMode, slices: readonly number[]): mode is SliceMode {
  const trains = gradientMode(place.trained, place.isTied) === 'gradient-and-weights';
  return !trains && mode !== 'gradient-and-weights' && slices.length > 1;
}

function wholeHead(place: HeadPlace, batch: MicroBatch, x: Handle, mode: HeadMode): HeadResult {
  const { engine, config, outer } = place;
  const tokens = batch.ids.length;
  const rows = place.tokenRows?.size;
  const nll: Handle[] = [];
  const logits: Handle[] = [];
  let dx = mode === 'loss' || mode === 'logits' ? undefined : zeroGradient(place, tokens);
  let weights: Handles = {};
  let from = 0;
  for (const chunk of headChunks(batch.lossTokens, config.vocabSize)) {
    const shape = { tokens, config, chunk, rows };
    const program = cached(place, `head|${mode}|${tokens}|${chunk}`, () => headGraph(shape, mode));
    const inputs = chunkInputs(place, batch, from, chunk);
    const out = engine.run(program, { ...outer, ...inputs, x, ...(dx === undefined ? {} : { 'dx.in': dx }) });
    engine.release(...Object.values(inputs));
    if (mode === 'logits') logits.push(out.logits!);
    else nll.push(out.nll!);
    if (dx !== undefined) {
      engine.release(dx);
      dx = out.dx!;
    }
    weights = withGradients(place, weights, out);
    from += chunk;
  }
  return { nll, logits, dx, weights };
}

/** What the gradients of chunks are added to. */
export function zeroGradient({ engine, config }: HeadPlace, tokens: number): Handle {
  return engine.allocate([tokens, config.hiddenSize]);
}

function chunkInputs({ engine, tokenRows }: HeadPlace, batch: MicroBatch, from: number, chunk: number): Handles {
  const weight = new Float32Array(chunk);
  const count = Math.min(chunk, batch.lossTokens - from);
  if (batch.lossWeights === undefined) weight.fill(1, 0, count);
  else weight.set(batch.lossWeights.subarray(from, from + count));
  const target = padded(batch.lossTargets, from, chunk);
  return {
    position: engine.upload(i32(padded(batch.lossPositions, from, chunk), [chunk])),
    target: engine.upload(i32(target, [chunk])),
    weight: engine.upload(f32(weight, [chunk, 1])),
    ...(tokenRows === undefined ? {} : { 'target.at': engine.upload(i32(placesOf(tokenRows, target), [chunk])) }),
  };
}

/** A part of indices, filled up with 0. */
export function padded(all: Int32Array, from: number, count: number): Int32Array {
  const part = new Int32Array(count);
  part.set(all.subarray(from, from + count));
  return part;
}

/** A chunk of positions on its way through the slices. */
export interface Chunk {
  readonly from: number;
  readonly size: number;
  /** What the chunk was started with, and `h`. */
  readonly inputs: Handles;
  /** What is known after the slices so far: `max`, `sum`, `acc`. */
  known: Handles;
  readonly logits: Handle[];
}

function slicedHead(
  place: HeadPlace,
  batch: MicroBatch,
  x: Handle,
  mode: SliceMode,
  slices: readonly number[],
): HeadResult {
  const { config } = place;
  const width = mode === 'logits' ? config.vocabSize : Math.max(...slices);
  const inputsOf = (from: number, size: number) => chunkInputs(place, batch, from, size);
  const sizes = headChunks(batch.lossTokens, width);
  const chunks = startChunks(place, { tokens: batch.ids.length, x, mode, sizes, inputsOf });
  throughSlices(place, chunks, mode, slices);
  return mode === 'logits'
    ? { nll: [], logits: chunks.map((chunk) => joinLogits(place, chunk)), dx: undefined, weights: {} }
    : endChunks(place, batch, x, mode, chunks);
}

/** Each slice is taken through all chunks before the next, so that it is widened once. */
export function throughSlices(
  place: HeadPlace,
  chunks: readonly Chunk[],
  mode: SliceMode,
  slices: readonly number[],
): void {
  const { engine, config } = place;
  for (const head of headViews(place, slices)) {
    for (const chunk of chunks) {
      const shape = { chunk: chunk.size, rows: head.shape[0]!, width: config.hiddenSize };
      const key = `head-slice|${mode}|${chunk.size}|${shape.rows}`;
      const program = cached(place, key, () => headSliceGraph(shape, mode));
      const before = Object.fromEntries(Object.entries(chunk.known).map(([name, handle]) => [`${name}.in`, handle]));
      const out = engine.run(program, { h: chunk.inputs.h!, head, ...before });
      if (mode === 'logits') chunk.logits.push(out.logits!);
      else {
        engine.release(...Object.values(chunk.known));
        chunk.known = out;
      }
    }
  }
}

/** The slices of the head, which share its memory. */
function headViews({ engine, outer, slices }: HeadPlace, sizes: readonly number[]): readonly Handle[] {
  const head = outer.head!;
  const known = slices.get(head);
  if (known !== undefined) return known;
  let from = 0;
  const views = sizes.map((rows) => {
    const view = engine.upload({ viewOf: head, from, shape: [rows, head.shape[1]!] });
    from += rows;
    return view;
  });
  slices.set(head, views);
  return views;
}

/** Below every logit, and finite: what is known before the first slice has no weight. */
const LOWEST = -1e30;

/** What chunks are made from. */
export interface ChunkStart {
  /** N. */
  readonly tokens: number;
  readonly x: Handle;
  readonly mode: SliceMode;
  /** Positions of each chunk. */
  readonly sizes: readonly number[];
  /** Inputs of a chunk, among them `position`. */
  readonly inputsOf: (from: number, size: number) => Handles;
}

/** Hidden states of each chunk, normalised, before any slice was seen. */
export function startChunks(place: HeadPlace, { tokens, x, mode, sizes, inputsOf }: ChunkStart): Chunk[] {
  const { engine, config, outer } = place;
  let from = 0;
  return sizes.map((size) => {
    const shape = { tokens, config, chunk: size };
    const inputs = inputsOf(from, size);
    const program = cached(place, `head-start|${tokens}|${size}`, () => headStartGraph(shape));
    const { h } = engine.run(program, { ...outer, ...inputs, x });
    const known: Handles = {};
    if (mode !== 'logits') {
      known.max = engine.upload(f32(new Float32Array(size).fill(LOWEST), [size, 1]));
      known.sum = engine.allocate([size, 1]);
    }
    if (mode !== 'logits' && mode !== 'loss') known.acc = engine.allocate([size, config.hiddenSize]);
    const chunk: Chunk = { from, size, inputs: { ...inputs, h: h! }, known, logits: [] };
    from += size;
    return chunk;
  });
}

function endChunks(
  place: HeadPlace,
  batch: MicroBatch,
  x: Handle,
  mode: Exclude<SliceMode, 'logits'>,
  chunks: readonly Chunk[],
): HeadResult {
  const { engine, config, outer } = place;
  const tokens = batch.ids.length;
  const nll: Handle[] = [];
  let dx = mode === 'loss' ? undefined : zeroGradient(place, tokens);
  let weights: Handles = {};
  for (const { from, size, inputs, known } of chunks) {
    const index = padded(batch.lossTargets, from, size);
    const rows = engine.upload({ rowsOf: outer.head!, index, shape: [size, config.hiddenSize] });
    const shape = { tokens, config, chunk: size, rows: place.tokenRows?.size };
    const program = cached(place, `head-end|${mode}|${tokens}|${size}`, () => headEndGraph(shape, mode));
    const before: Handles = dx === undefined ? {} : { 'dx.in': dx };
    const out = engine.run(program, { ...outer, ...inputs, ...known, ...before, x, 'target.rows': rows });
    engine.release(rows, ...Object.values({ ...inputs, ...known, ...before }));
    nll.push(out.nll!);
    dx = out.dx;
    weights = withGradients(place, weights, out);
  }
  return { nll, logits: [], dx, weights };
}

/** Adds up the gradients `d.<name>` of the chunks. */
export function withGradients(place: HeadPlace, sum: Handles, out: Handles): Handles {
  const gradients = Object.entries(out).filter(([name]) => name.startsWith('d.'));
  const part = Object.fromEntries(gradients.map(([name, handle]) => [name.slice(2), handle]));
  if (gradients.length === 0 || Object.keys(sum).length === 0) return { ...sum, ...part };
  return sumInto(place, 'head-gradients', sum, part);
}

function joinLogits(place: HeadPlace, { size, inputs, logits }: Chunk): Handle {
  const { engine } = place;
  const program = cached(place, `head-join|${size}`, () => {
    const g = createBuilder();
    const parts = logits.map(({ shape }, i) => g.input(`logits.${i}`, shape));
    return finishGraph(g, { logits: g.concat(parts, 1) });
  });
  const { logits: joined } = engine.run(program, Object.fromEntries(logits.map((part, i) => [`logits.${i}`, part])));
  engine.release(...logits, ...Object.values(inputs));
  return joined!;
}
