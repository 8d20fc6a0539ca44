import { type Emitter, type Graph, type OnnxAttrs, OPS, type Op, type TensorType } from '../../graph/index.ts';
import type { StoredTensor } from '../../io/stored.ts';
import { type DType, type HostTensor, type Shape, sizeOf } from '../../tensor/tensor.ts';
import { type ProtoWriter, protoWriter } from './protobuf.ts';
import { type Quantized, quantizeStored } from './quantize.ts';

// Field numbers are those of onnx.proto3 (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, ValueInfoProto).
const ELEM_TYPE: Readonly<Record<DType, number>> = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9 };
const OPSET = 21;
/** Version of the file format. */
export const IR_VERSION = 10;

/** Takes stored matrices out of the model: they are declared in it without their data. */
export interface SharedConstants {
  /** Reads a matrix, or finds it again. */
  quantized(tensors: readonly StoredTensor[]): Quantized;
  /** Told of each constant that the session must be given. */
  add(name: string, tensor: HostTensor): void;
}

/**
 * Writes a graph as an ONNX model with the operators of the device.
 *
 * @param shared if not given, the model holds all of its constants
 */
export function toOnnx(graph: Graph, device: Emitter['device'], shared?: SharedConstants): Uint8Array {
  const body = protoWriter();
  const nodes: NodeRecord[] = [];
  const names = emitNodes(graph, createEmitter(body, nodes, device, shared), (input) => input);
  for (const node of namedOutputs(graph, nodes, names)) body.message(1, nodeProto(node));
  body.string(2, 'tunesmith');
  for (const [name, id] of Object.entries(graph.inputs)) body.message(11, valueInfo(name, graph.nodes[id]!));
  for (const [name, id] of Object.entries(graph.outputs)) body.message(12, valueInfo(name, graph.nodes[id]!));
  const model = protoWriter().int(1, IR_VERSION).message(7, body);
  for (const opset of opsets()) model.message(8, opset);
  return model.finish();
}

/** The operator sets that a model names. */
export function opsets(): ProtoWriter[] {
  return [protoWriter().string(1, '').int(2, OPSET), protoWriter().string(1, 'com.microsoft').int(2, 1)];
}

/**
 * Emits the nodes of a graph and returns the name of each node's value.
 *
 * @param nameOf the value that stands for an input of the graph
 */
export function emitNodes(graph: Graph, emitter: Emitter, nameOf: (input: string) => string): string[] {
  const names: string[] = [];
  for (const node of graph.nodes) {
    if (node.op === 'input') {
      names.push(nameOf(node.attrs.name));
      continue;
    }
    const op = OPS[node.op] as unknown as Op<unknown>;
    const inputs = node.inputs.map((i) => names[i]!);
    const types = node.inputs.map((i) => graph.nodes[i]!);
    names.push(op.emit(emitter, inputs, node.attrs, types, node));
  }
  return names;
}

/** The nodes with the names of the graph's outputs in place. */
export function namedOutputs(
  graph: Graph,
  nodes: readonly NodeRecord[],
  names: readonly string[],
): readonly NodeRecord[] {
  return withOutputNames(
    nodes,
    Object.entries(graph.outputs).map(([name, id]) => [names[id]!, name]),
  );
}

/** A node before it is written. */
export interface NodeRecord {
  readonly opType: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs: OnnxAttrs;
  readonly domain: string;
}

/**
 * Gives the values that leave the graph their outputs' names. Only where a value is an input, a constant, or leaves under two names
 * does an Identity copy it: a copy of each saved activation costs a few per cent of a forward pass.
 */
function withOutputNames(
  nodes: readonly NodeRecord[],
  outputs: readonly (readonly [value: string, name: string])[],
): NodeRecord[] {
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const names = new Map<string, string>();
  const copies: NodeRecord[] = [];
  for (const [value, name] of outputs) {
    if (made.has(value) && !names.has(value)) names.set(value, name);
    else copies.push({ opType: 'Identity', inputs: [value], outputs: [name], attrs: {}, domain: '' });
  }
  const renamed = (value: string) => names.get(value) ?? value;
  return [...nodes, ...copies].map((node) => ({
    ...node,
    inputs: node.inputs.map(renamed),
    outputs: node.outputs.map(renamed),
  }));
}

/** Writes constants into the graph's message and collects nodes. */
export function createEmitter(
  body: ProtoWriter,
  nodes: NodeRecord[],
  device: Emitter['device'],
  shared: SharedConstants | undefined,
): Emitter {
  const constants = new Map<string, string>();
  let count = 0;
  const large = (dtype: 'u8' | 'f32', shape: Shape, data: Uint8Array | Float32Array): string => {
    if (shared === undefined)
      return constant(dtype, shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const name = `c${count++}`;
    body.message(5, externalProto(tensorProto(ELEM_TYPE[dtype], shape, name), 'shared', 0, data.byteLength));
    shared.add(name, { dtype, shape, data });
    return name;
  };
  const constant = (dtype: DType, shape: Shape, raw: Uint8Array): string => {
    // Only small constants are worth looking up again.
    const key = raw.length <= 64 ? `${dtype}|${shape}|${raw}` : undefined;
    const known = key === undefined ? undefined : constants.get(key);
    if (known !== undefined) return known;
    const name = `c${count++}`;
    body.message(5, tensorProto(ELEM_TYPE[dtype], shape, name).bytes(9, raw));
    if (key !== undefined) constants.set(key, name);
    return name;
  };
  return {
    device,
    node(opType, inputs, attrs = {}, domain = '', suffixes = []) {
      const name = `v${count++}`;
      const outputs = [name, ...suffixes.map((suffix) => name + suffix)];
      nodes.push({ opType, inputs, outputs, attrs, domain });
      return name;
    },
    f32(values, shape) {
      const data = values instanceof Float32Array ? values : Float32Array.from(values);
      if (data.length !== sizeOf(shape)) throw new Error(`internal: ${data.length} values for [${shape}]`);
      return constant('f32', shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    },
    quantized(tensors, layout) {
      const { bits, codes, scales, offsets } = (shared?.quantized ?? quantizeStored)(tensors);
      const rows = tensors.reduce((sum, t) => sum + t.shape[0]!, 0);
      const blocks = scales.length / rows;
      const shape = layout === 'rows' ? [rows, blocks * 4 * bits] : [rows, blocks, 4 * bits];
      return {
        bits,
        codes: large('u8', shape, codes),
        scales: large('f32', [rows, blocks], scales),
        offsets: offsets === undefined ? undefined : large('f32', [rows, blocks], offsets),
      };
    },
    i64: (values) => constant('i64', [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer)),
  };
}

/** A tensor without its data. */
export function tensorProto(elemType: number, shape: Shape, name: string): ProtoWriter {
  const tensor = protoWriter();
  for (const d of shape) tensor.int(1, d);
  return tensor.int(2, elemType).string(8, name);
}

/** Declares that the data lies elsewhere (data_location EXTERNAL): in a file beside the model, or given to the session. */
export function externalProto(tensor: ProtoWriter, location: string, offset: number, bytes: number): ProtoWriter {
  const entry = (key: string, value: string) => protoWriter().string(1, key).string(2, value);
  tensor.message(13, entry('location', location)).message(13, entry('offset', String(offset)));
  return tensor.message(13, entry('length', String(bytes))).int(14, 1);
}

/** A node as it stands in a graph's message. */
export function nodeProto({ opType, inputs, outputs, attrs, domain }: NodeRecord): ProtoWriter {
  const node = protoWriter();
  for (const input of inputs) node.string(1, input);
  for (const output of outputs) node.string(2, output);
  node.string(3, `${opType}_${outputs[0]}`).string(4, opType);
  for (const [name, value] of Object.entries(attrs)) node.message(5, attribute(name, value));
  return domain === '' ? node : node.string(7, domain);
}

function attribute(name: string, value: OnnxAttrs[string]): ProtoWriter {
  const attr = protoWriter().string(1, name);
  if (typeof value === 'number') return attr.int(3, value).int(20, 2);
  if (typeof value === 'string') return attr.string(4, value).int(20, 3);
  if ('float' in value) return attr.float(2, value.float).int(20, 1);
  for (const item of value) attr.int(8, item);
  return attr.int(20, 7);
}

/**
 * Name and type of an input or output.
 *
 * @param axisName the name of an axis whose length is known only when the model runs
 */
export function valueInfo(
  name: string,
  type: TensorType,
  axisName: (length: number) => string | undefined = () => undefined,
): ProtoWriter {
  const shape = protoWriter();
  for (const d of type.shape) {
    const axis = axisName(d);
    shape.message(1, axis === undefined ? protoWriter().int(1, d) : protoWriter().string(2, axis));
  }
  const tensor = protoWriter().int(1, ELEM_TYPE[type.dtype]).message(2, shape);
  return protoWriter().string(1, name).message(2, protoWriter().message(1, tensor));
}
