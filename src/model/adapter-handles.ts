import type { Engine, Handle } from '../engine/index.ts';
import { readStored, type StoredTensor } from '../io/index.ts';
import { fillUniform } from '../math/random.ts';
import { f32, type HostTensor, type Shape, sizeOf } from '../tensor/tensor.ts';
import { type AdapterSpec, embedTensor, HEAD_TENSOR } from './adapter.ts';
import { derivedGraph, fromWeightGraph, initialOf, methodOf, type Start } from './adapters/index.ts';
import { startName } from './adapters/start.ts';
import { type StartFactors, startFactors } from './adapters/start-factors.ts';
import type { LinearModule } from './architecture.ts';
import { outerTensors } from './architectures.ts';
import type { ModelConfig } from './config.ts';
import { baseLinear } from './linear.ts';
import { layerOfTensor, layerTensor } from './names.ts';
import { type AdapterTensor, moduleTensorsOf, PEFT_PREFIX, peftName, sharedTensors, storedTrained } from './peft.ts';
import { type TokenTensor, tokenTensors } from './token-rows.ts';

/** An adapter in an engine. Layer records are keyed by the input names of the layer programs. */
export interface AdapterHandles {
  readonly spec: AdapterSpec;
  /** What trains, what is kept of the base for it, and norms that train in full, which take the place of the base's. */
  readonly layers: readonly Record<string, Handle>[];
  /** Tensors outside the layers that take the place of the base's, by their names. */
  readonly outer: Readonly<Record<string, Handle>>;
  /** What does not train and belongs into the adapter's folder, by peft's name. */
  readonly constants: ReadonlyMap<string, HostTensor>;
}

/** The files of a base model. */
export interface BaseTensors {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Loads the tensors of an adapter file. */
export function uploadAdapter(
  engine: Engine,
  base: BaseTensors,
  { spec, tensors }: { readonly spec: AdapterSpec; readonly tensors: ReadonlyMap<string, StoredTensor> },
): AdapterHandles {
  const find = (name: string): StoredTensor => {
    const stored = tensors.get(name);
    if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
    return stored;
  };
  const shared = sharedTensors(base.config, spec).map(
    ({ name, shape }) => [name, f32(readStored(find(name)), shape)] as const,
  );
  const place = openPlace(engine, base, spec, new Map(shared));
  for (const tensor of moduleTensorsOf(base.config, spec)) {
    const name = peftName(base.config, tensor.layer, tensor.size.module, tensor.part);
    const found = storedTrained(spec, name, find(name), tensor.shape);
    if (found === undefined) throw new Error(`internal: ${name} has another shape`);
    place.tensor(tensor, upload(engine, found.trained));
    if (found.start !== undefined) place.start(tensor, found.start);
  }
  return place.finish(
    (name) => find(`${PEFT_PREFIX}${name}`),
    ({ name }) => upload(engine, find(`${PEFT_PREFIX}${name}`)),
  );
}

function upload(engine: Engine, tensor: StoredTensor | HostTensor): Handle {
  return 'path' in tensor ? engine.upload({ stored: [tensor], shape: tensor.shape }) : engine.upload(tensor);
}

/** A new adapter, which begins as the base model. @throws an internal error for one that starts from the base's matrices */
export function initialAdapter(engine: Engine, base: BaseTensors, spec: AdapterSpec, seed: number): AdapterHandles {
  const { config } = base;
  if (startOf(spec) !== undefined) throw new Error('internal: this start takes the engine some time');
  const shared = sharedTensors(config, spec).map(({ name, shape, bound }) => {
    const data = fillUniform(new Float32Array(sizeOf(shape)), -bound, bound, { seed, purpose: name, a: 0 });
    return [name, f32(data, shape)] as const;
  });
  const place = openPlace(engine, base, spec, new Map(shared));
  for (const [index, tensor] of [...moduleTensorsOf(config, spec)].entries()) {
    const { part, shape } = tensor;
    const initial = initialOf(part, tensor.module, tensor.size);
    if (initial === 'from weight') continue;
    const handle =
      'fill' in initial
        ? filled(engine, shape, initial.fill)
        : engine.upload({
            uniform: { seed, purpose: part.replace(/\.weight$/, ''), a: index, bound: initial.bound },
            shape,
          });
    place.tensor(tensor, handle);
  }
  return place.finish((name) => baseTensor(base, name));
}

function filled(engine: Engine, shape: Shape, value: number): Handle {
  return value === 0 ? engine.allocate(shape) : engine.upload(f32(new Float32Array(sizeOf(shape)).fill(value), shape));
}

/** A new adapter that may start from the base's own matrices, which are looked at one after the other. */
export async function startedAdapter(
  engine: Engine,
  base: BaseTensors,
  spec: AdapterSpec,
  seed: number,
): Promise<AdapterHandles> {
  const how = startOf(spec);
  if (how === undefined) return initialAdapter(engine, base, spec, seed);
  const place = openPlace(engine, base, spec, new Map());
  let last: { readonly of: string; readonly factors: StartFactors } | undefined;
  for (const tensor of moduleTensorsOf(base.config, spec)) {
    const { layer, size, module, part } = tensor;
    if (module.kind !== 'lora') throw new Error('internal: only LoRA starts from the base');
    const of = `${layer}.${size.module}`;
    if (last?.of !== of)
      last = { of, factors: await startFactors(engine, weightOf(engine, base, layer, size), module, how) };
    const start = part === 'lora_A.weight' ? last.factors.a_RI : last.factors.b_OR;
    place.tensor(tensor, engine.upload(start));
    place.start(tensor, start);
  }
  return place.finish((name) => baseTensor(base, name));
}

function startOf({ settings }: AdapterSpec): Start | undefined {
  return 'start' in settings ? settings.start : undefined;
}

function weightOf(engine: Engine, base: BaseTensors, layer: number, { module }: LinearModule): Handle {
  return upload(engine, baseTensor(base, layerTensor(base.config, layer, `${module}.weight`)));
}

function baseTensor({ config, tensors }: BaseTensors, name: string): StoredTensor {
  const stored = tensors.get(name === HEAD_TENSOR && config.tiedEmbeddings ? embedTensor(config) : name);
  if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
  return stored;
}

/** An adapter on its way into an engine. */
function openPlace(engine: Engine, base: BaseTensors, spec: AdapterSpec, shared: ReadonlyMap<string, HostTensor>) {
  const layers: Record<string, Handle>[] = spec.modules.map(() => ({}));
  const constants = new Map(shared);
  const cuts = new Map<string, Handle>();
  return {
    tensor({ layer, size, part }: AdapterTensor, handle: Handle) {
      layers[layer]![`${size.module}.${part}`] = handle;
    },
    start({ layer, size, part }: AdapterTensor, start: HostTensor) {
      layers[layer]![startName(`${size.module}.${part}`)] = engine.upload(start);
      constants.set(peftName(base.config, layer, size.module, part), start);
    },
    finish(
      saved: (name: string) => StoredTensor,
      rowsOf: (token: TokenTensor, whole: Handle) => Handle = (token, whole) => pickedRows(engine, spec, token, whole),
    ): AdapterHandles {
      for (const { layer, size, module } of adaptedModules(base.config, spec)) {
        for (const { input, of, axis, length } of methodOf(module).cut?.(size) ?? []) {
          const known = cuts.get(input) ?? engine.upload(cut(constants.get(`base_model.${of}`)!, axis, length));
          cuts.set(input, known);
          layers[layer]![input] = known;
        }
        fromBase(engine, size, module, layers[layer]!, () => weightOf(engine, base, layer, size));
      }
      const outer: Record<string, Handle> = {};
      for (const name of spec.saved) {
        const handle = upload(engine, saved(name));
        const inLayer = layerOfTensor(base.config, name);
        if (inLayer !== undefined) layers[inLayer.layer]![inLayer.name] = handle;
        else outer[outerTensors(base.config).find(({ hf }) => hf === name)?.name ?? 'head'] = handle;
      }
      Object.assign(outer, tokenHandles(engine, base, spec, rowsOf));
      return { spec, layers, outer, constants };
    },
  };
}

/** The rows that train, and in the base's place all of the matrix with them in it. */
function tokenHandles(
  engine: Engine,
  base: BaseTensors,
  spec: AdapterSpec,
  rowsOf: (token: TokenTensor, whole: Handle) => Handle,
): Record<string, Handle> {
  const handles: Record<string, Handle> = {};
  for (const token of tokenTensors(base.config, spec)) {
    const whole = upload(engine, baseTensor(base, token.hf));
    handles[token.whole] = whole;
    handles[token.rows] = rowsOf(token, whole);
  }
  placeTokenRows(engine, spec, handles);
  return handles;
}

function pickedRows(engine: Engine, { tokenRows = [] }: AdapterSpec, { shape }: TokenTensor, whole: Handle): Handle {
  return engine.upload({ rowsOf: whole, index: Int32Array.from(tokenRows), shape });
}

/** Writes the rows that train into the matrices that programs read: after each change of them. */
export function placeTokenRows(
  engine: Engine,
  { tokenRows = [] }: Pick<AdapterSpec, 'tokenRows'>,
  outer: Readonly<Record<string, Handle>>,
): void {
  for (const whole of ['embed', 'head'] as const) {
    const rows = outer[`${whole}.rows`];
    if (rows === undefined) continue;
    const width = rows.shape[1]!;
    for (const [i, id] of tokenRows.entries()) engine.copy(rows, i * width, outer[whole]!, id * width, width);
  }
}

function* adaptedModules(config: ModelConfig, spec: AdapterSpec) {
  const seen = new Set<string>();
  for (const { layer, size, module } of moduleTensorsOf(config, spec)) {
    if (seen.has(`${layer}.${size.module}`)) continue;
    seen.add(`${layer}.${size.module}`);
    yield { layer, size, module };
  }
}

/** What a method keeps of the base's weight, and what follows from that and from what trains. */
function fromBase(
  engine: Engine,
  size: LinearModule,
  module: AdapterTensor['module'],
  inputs: Record<string, Handle>,
  weightOf: () => Handle,
): void {
  const graph = fromWeightGraph(module, size);
  if (graph === undefined) return;
  const weight = weightOf();
  for (const [part, handle] of Object.entries(engine.run(engine.compile(graph), { weight }))) {
    const name = `${size.module}.${part}`;
    if (inputs[name] === undefined) inputs[name] = handle;
    else engine.release(handle);
  }
  const derived = derivedGraph(new Map([[size.module, module]]), [size], (g) => baseLinear(g, [size]));
  if (derived !== undefined) {
    Object.assign(inputs, engine.run(engine.compile(derived), { ...inputs, [`${size.module}.weight`]: weight }));
  }
  engine.release(weight);
}

/** The first rows, or the first columns, of a matrix. */
function cut({ shape, data }: HostTensor, axis: 0 | 1, length: number): HostTensor {
  const [rows, columns] = shape as [number, number];
  const values = data as Float32Array;
  if (axis === 0) return f32(values.slice(0, length * columns), [length, columns]);
  const part = new Float32Array(rows * length);
  for (let row = 0; row < rows; row++) part.set(values.subarray(row * columns, row * columns + length), row * length);
  return f32(part, [rows, length]);
}
