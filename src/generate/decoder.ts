// Shape legend: B rows of a cache, C capacity, G key/value heads, K head width, V vocabulary

import type { Engine, Handle, Handles, Program } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { KEPT_CODES } from '../graph/index.ts';
import type { StoredTensor } from '../io/stored.ts';
import type { AdapterHandles } from '../model/adapter-handles.ts';
import { layerVectors, linearModules, outerTensors } from '../model/architectures.ts';
import type { BaseHandles } from '../model/base.ts';
import type { ModelConfig } from '../model/config.ts';
import { layerTensor } from '../model/names.ts';
import { rotationTables } from '../model/rope.ts';
import { i32 } from '../tensor/tensor.ts';
import { createLayerwise } from './layerwise.ts';
import { decoderProgram, inputWeights, type ProgramShape, storedWeights } from './programs.ts';

/** Weights that stay as they are stored, and become part of the programs: fast, with activations rounded to 8 bits. */
export interface StoredBase {
  readonly config: ModelConfig;
  /** By Hugging Face name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Tensors outside the layers that are no such matrices, by their names. */
  readonly outer: Readonly<Record<string, Handle>>;
  /** The vectors of each layer, by the input names of the layer programs. */
  readonly layers: readonly Readonly<Record<string, Handle>>[];
}

/**
 * Queues the loading of what {@link StoredBase} has as inputs: norms and biases.
 *
 * @throws GENERATE_PRECISION for a model whose widths are no multiples of 32
 */
export function openStoredBase(
  engine: Engine,
  config: ModelConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
): StoredBase {
  for (const { module, in: width } of linearModules(config, 0)) {
    if (width % 32 === 0) continue;
    throw new TunesmithError('GENERATE_PRECISION', {
      message: `${module} reads ${width} values, not a multiple of 32.`,
    });
  }
  const upload = (name: string) => engine.upload({ stored: [tensors.get(name)!], shape: tensors.get(name)!.shape });
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    Object.fromEntries(
      layerVectors(config, layer).map(({ name }) => [name, upload(layerTensor(config, layer, name))] as const),
    ),
  );
  const outer = outerTensors(config).filter(({ name }) => name !== 'embed' && name !== 'head');
  return { config, tensors, outer: Object.fromEntries(outer.map(({ name, hf }) => [name, upload(hf)])), layers };
}

/** Stored types of the matrices that the fast path rounds to 8 bits in blocks of 32, and how many there are of each. */
export function roundedByFast(tensors: ReadonlyMap<string, StoredTensor>): Record<string, number> {
  const kept: readonly string[] = KEPT_CODES;
  const counts: Record<string, number> = {};
  for (const { type, shape } of tensors.values()) {
    if (shape.length === 2 && !kept.includes(type)) counts[type] = (counts[type] ?? 0) + 1;
  }
  return counts;
}

/**
 * A model to generate with: exact with float32 weights as the engine holds them for training, fast with stored ones. Base and adapter are switched
 * by leaving `adapter` out; the base stays loaded.
 */
export interface GenerationSession {
  readonly engine: Engine;
  readonly base: BaseHandles | StoredBase;
  readonly adapter?: AdapterHandles | undefined;
}

/** Keys and values of B rows, [B, G, C, K] for each layer. */
export interface Cache {
  readonly rows: number;
  readonly capacity: number;
  readonly keys: readonly Handle[];
  readonly values: readonly Handle[];
}

/** The newest token of a row. */
export interface NextToken {
  readonly id: number;
  readonly position: number;
}

/** Runs a model over new tokens and a cache. */
export interface Decoder {
  readonly config: ModelConfig;
  allocate(rows: number, capacity: number): Cache;
  /**
   * Runs a prompt into a cache of one row; returns the logits [V] after its last token. The cache may hold its first `held` tokens already
   * (fewer than all); what it holds beyond them is forgotten.
   */
  prefill(cache: Cache, ids: readonly number[], held?: number): Promise<Float32Array>;
  /** Runs one token of each row, which stands at the given position; returns the logits [B, V]. */
  step(cache: Cache, tokens: readonly NextToken[]): Promise<Float32Array>;
  /** As {@link Decoder.step}, but returns the most likely next token of each row [B]. */
  stepGreedy(cache: Cache, tokens: readonly NextToken[]): Promise<Float32Array>;
  /** Copies a cache of one row into a row of another of the same capacity. */
  copyRow(source: Cache, target: Cache, row: number): void;
  /** Copies the first tokens of a cache of one row into another, of another capacity. */
  copyTokens(source: Cache, target: Cache, tokens: number): void;
  release(cache: Cache): void;
  close(): void;
}

/** Lengths that parts of a prompt are padded to: each is a program of its own. */
const PART_LENGTHS = [16, 32, 64, 128, 256, 512] as const;
const LONGEST_PART = 512;
/** Capacities are this times a power of two. */
const SMALLEST_CAPACITY = 256;

/**
 * The capacity of a cache for so many tokens, with room for the padding of the last part of a prompt.
 *
 * @param held tokens of the prompt that the cache holds already
 */
export function capacityFor(promptTokens: number, newTokens: number, held = 0): number {
  const parts = partLengths(promptTokens - held).reduce((sum, n) => sum + n, held);
  let capacity = SMALLEST_CAPACITY;
  while (capacity < Math.max(parts, promptTokens + newTokens)) capacity *= 2;
  return capacity;
}

/** Padded lengths of the parts that a prompt is run in. */
export function partLengths(promptTokens: number): number[] {
  const parts: number[] = [];
  let rest = promptTokens;
  for (; rest > LONGEST_PART; rest -= LONGEST_PART) parts.push(LONGEST_PART);
  parts.push(PART_LENGTHS.find((n) => n >= rest)!);
  return parts;
}

/** Makes a decoder of a session. Programs are compiled when first needed. */
export function createDecoder({ engine, base, adapter }: GenerationSession): Decoder {
  const { config } = base;
  const isTied = config.tiedEmbeddings && adapter?.spec.tie !== 'cut';
  const source =
    'tensors' in base ? storedWeights(config, base.tensors) : inputWeights({ ...config, tiedEmbeddings: isTied });
  const programs = new Map<string, Program>();
  const tables = new Map<number, Handles>();
  const weights = weightInputs(base, adapter);

  const programFor = (shape: ProgramShape): Program => {
    const key = `${shape.rows}|${shape.length}|${shape.capacity}|${shape.output}`;
    const program = programs.get(key) ?? engine.compile(decoderProgram(config, shape, source, adapter?.spec.modules));
    programs.set(key, program);
    return program;
  };

  const tablesFor = (capacity: number): Handles => {
    const known = tables.get(capacity) ?? uploadTables(engine, config, capacity);
    tables.set(capacity, known);
    return known;
  };

  const outer = { ...base.outer, ...adapter?.outer };
  const layerwise =
    'isAtRest' in base && base.isAtRest
      ? createLayerwise(engine, base, adapter, isTied ? { ...outer, head: outer.embed! } : outer)
      : undefined;

  const run = async (cache: Cache, length: number, feed: Feed, output: ProgramShape['output']) => {
    const shape = { rows: cache.rows, length, capacity: cache.capacity, output };
    const fed = uploadFeed(engine, feed);
    const shared = { ...tablesFor(cache.capacity), ...fed };
    const { inputs, into } = cacheArguments(cache);
    const made =
      layerwise?.pass(shape, feed.ids, shared, cache) ??
      engine.run(programFor(shape), { ...weights, ...shared, ...inputs }, into)[output]!;
    const result = engine.read(made);
    engine.release(made, ...Object.values(fed));
    return (await result).data as Float32Array;
  };

  return {
    config,
    allocate: (rows, capacity) => {
      const shape = [rows, config.kvHeads, capacity, config.headDim];
      const each = () => Array.from({ length: config.layers }, () => engine.allocate(shape));
      return { rows, capacity, keys: each(), values: each() };
    },
    async prefill(cache, ids, held = 0) {
      let logits: Float32Array = new Float32Array();
      let start = held;
      for (const length of partLengths(ids.length - held)) {
        const part = ids.slice(start, start + length);
        logits = await run(cache, length, partFeed(part, start, length), 'logits');
        start += length;
      }
      return logits;
    },
    step: (cache, tokens) => run(cache, 1, stepFeed(tokens), 'logits'),
    stepGreedy: (cache, tokens) => run(cache, 1, stepFeed(tokens), 'greedy'),
    copyRow: (from, to, row) => {
      const count = config.kvHeads * from.capacity * config.headDim;
      for (const which of ['keys', 'values'] as const) {
        for (const [layer, handle] of from[which].entries()) {
          engine.copy(handle, 0, to[which][layer]!, row * count, count);
        }
      }
    },
    copyTokens: (from, to, tokens) => {
      const { kvHeads, headDim } = config;
      for (const which of ['keys', 'values'] as const) {
        for (const [layer, handle] of from[which].entries()) {
          for (let head = 0; head < kvHeads; head++) {
            const [start, end] = [from, to].map((cache) => head * cache.capacity * headDim) as [number, number];
            engine.copy(handle, start, to[which][layer]!, end, tokens * headDim);
          }
        }
      }
    },
    release: (cache) => engine.release(...cache.keys, ...cache.values),
    close: () => {
      engine.release(...[...tables.values()].flatMap((t) => Object.values(t)));
      layerwise?.close();
    },
  };
}

interface Feed {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly last: Int32Array;
  readonly total: Int32Array;
  readonly pick: Int32Array;
}

/** Tokens of a prompt from position `start`, padded at the end: what is computed for the padding is never seen, and overwritten later. */
function partFeed(part: readonly number[], start: number, length: number): Feed {
  const ids = new Int32Array(length);
  ids.set(part);
  return {
    ids,
    positions: Int32Array.from({ length }, (_, i) => start + i),
    last: Int32Array.of(start + length - 1),
    total: Int32Array.of(start + length),
    pick: Int32Array.of(part.length - 1),
  };
}

function stepFeed(tokens: readonly NextToken[]): Feed {
  const positions = Int32Array.from(tokens, (t) => t.position);
  return {
    ids: Int32Array.from(tokens, (t) => t.id),
    positions,
    last: positions,
    total: Int32Array.of(Math.max(...positions) + 1),
    pick: new Int32Array(),
  };
}

function uploadFeed(engine: Engine, feed: Feed): Record<keyof Feed, Handle> {
  const upload = (data: Int32Array) => engine.upload(i32(data, [data.length]));
  const { ids, positions, last, total, pick } = feed;
  return {
    ids: upload(ids),
    positions: upload(positions),
    last: upload(last),
    total: upload(total),
    pick: upload(pick),
  };
}

function cacheArguments(cache: Cache): { readonly inputs: Handles; readonly into: Handles } {
  const inputs: Record<string, Handle> = {};
  const into: Record<string, Handle> = {};
  for (const which of ['keys', 'values'] as const) {
    for (const [layer, handle] of cache[which].entries()) {
      inputs[`${which}.${layer}`] = handle;
      into[`${which}.${layer}.next`] = handle;
    }
  }
  return { inputs, into };
}

/** Rotations of positions 0 .. C-1. */
function uploadTables(engine: Engine, config: ModelConfig, capacity: number): Handles {
  const positions = Int32Array.from({ length: capacity }, (_, i) => i);
  const tables = Object.entries(rotationTables(config, positions));
  return Object.fromEntries(tables.map(([name, table]) => [name, engine.upload(table)]));
}

function weightInputs(base: BaseHandles | StoredBase, adapter: AdapterHandles | undefined): Handles {
  if ('tensors' in base && (adapter?.outer.embed ?? adapter?.outer.head) !== undefined) {
    throw new TunesmithError('GENERATE_PRECISION', {
      message: 'the adapter brings an embedding or a head of its own, which is not quantised.',
    });
  }
  const all: Record<string, Handle> = { ...base.outer, ...adapter?.outer };
  for (const layers of [base.layers, adapter?.layers ?? []]) {
    for (const [i, layer] of layers.entries()) {
      for (const [name, handle] of Object.entries(layer)) all[`layers.${i}.${name}`] = handle;
    }
  }
  return all;
}
