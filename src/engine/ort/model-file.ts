import type { Emitter, Graph } from '../../graph/index.ts';
import { floatsToBytes } from '../../io/half.ts';
import { quantize } from '../../io/quantize.ts';
import { type Shape, sizeOf } from '../../tensor/tensor.ts';
import { type DynamicAxis, withAxes } from './axes.ts';
import {
  createEmitter,
  emitNodes,
  externalProto,
  IR_VERSION,
  type NodeRecord,
  namedOutputs,
  nodeProto,
  opsets,
  tensorProto,
  valueInfo,
} from './onnx.ts';
import { type ProtoWriter, protoWriter } from './protobuf.ts';
import { codeBytes, unpackBlocks } from './quantize.ts';
import { type FileWeight, readReduced } from './reduced-weights.ts';

/** What a model file is made of beside its graph. */
export interface ModelFileOptions {
  /** Name of the file; data that lies beside it goes to `<name>_data`, `<name>_data_1` and so on. */
  readonly name: string;
  readonly axes: readonly DynamicAxis[];
  /** Inputs of the graph that are weights, by their names. */
  readonly weights: ReadonlyMap<string, FileWeight>;
  /** Bytes of one file, at most (default: what a protobuf message may have); a single weight may be larger. */
  readonly mostBytes?: number;
}

/** A file of a model, whose bytes are made when they are drawn. */
export interface FileToWrite {
  readonly name: string;
  readonly bytes: number;
  pieces(): Iterable<Uint8Array>;
}

/** 2 GiB is too much for protobuf, and for one array in a browser. */
const MOST_BYTES = 2e9;

/** Values that are widened at a time. */
const PIECE_VALUES = 1 << 20;

/** A tensor of the file. */
interface Part {
  readonly name: string;
  readonly elemType: number;
  readonly shape: Shape;
  readonly bytes: number;
  pieces(): Iterable<Uint8Array>;
}

/**
 * A graph as a model file that ONNX Runtime opens anywhere: in Node, in browsers, on a GPU. Its operators are those that all of these have.
 *
 * @returns the model, and where it is too large for one file those with its weights
 */
export function modelFiles(graph: Graph, options: ModelFileOptions): FileToWrite[] {
  const { name, weights, mostBytes = MOST_BYTES } = options;
  const body = protoWriter();
  const parts = [...weights].filter(([input]) => input in graph.inputs).flatMap(([input, w]) => partsOf(input, w));
  writeBody(body, graph, options);
  const total = parts.reduce((sum, part) => sum + part.bytes, body.length());
  const data = total <= mostBytes ? [] : cut(parts, mostBytes);
  for (const [i, file] of data.entries()) {
    let offset = 0;
    for (const part of file) {
      const tensor = tensorProto(part.elemType, part.shape, part.name);
      body.message(5, externalProto(tensor, dataName(name, i), offset, part.bytes));
      offset += part.bytes;
    }
  }
  const beside = data.map((file, i) => ({
    name: dataName(name, i),
    bytes: file.reduce((sum, part) => sum + part.bytes, 0),
    *pieces() {
      for (const part of file) yield* part.pieces();
    },
  }));
  return [modelFile(name, body, data.length === 0 ? parts : []), ...beside];
}

/** `model.onnx_data`, `model.onnx_data_1` */
function dataName(name: string, index: number): string {
  return `${name}_data${index === 0 ? '' : `_${index}`}`;
}

function cut(parts: readonly Part[], mostBytes: number): Part[][] {
  const files: Part[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const part of parts) {
    if (filled + part.bytes > mostBytes) {
      files.push([]);
      filled = 0;
    }
    files.at(-1)!.push(part);
    filled += part.bytes;
  }
  return files;
}

/** The message of the model, with the tensors that it holds itself at the end of its graph. */
function modelFile(name: string, body: ProtoWriter, parts: readonly Part[]): FileToWrite {
  const heads = parts.map(({ elemType, shape, name: own, bytes }) => {
    const tensor = tensorProto(elemType, shape, own).begin(9, bytes);
    const head = protoWriter()
      .begin(5, tensor.length() + bytes)
      .finish();
    return Buffer.concat([head, tensor.finish()]);
  });
  const held = parts.reduce((sum, part, i) => sum + heads[i]!.length + part.bytes, 0);
  const start = protoWriter()
    .int(1, IR_VERSION)
    .string(2, 'tunesmith')
    .begin(7, body.length() + held)
    .finish();
  const end = protoWriter();
  for (const opset of opsets()) end.message(8, opset);
  return {
    name,
    bytes: start.length + body.length() + held + end.length(),
    *pieces() {
      yield start;
      yield body.finish();
      for (const [i, part] of parts.entries()) {
        yield heads[i]!;
        yield* part.pieces();
      }
      yield end.finish();
    },
  };
}

/** Nodes, small constants, inputs and outputs. */
function writeBody(body: ProtoWriter, graph: Graph, { axes, weights }: ModelFileOptions): void {
  const nodes: NodeRecord[] = [];
  // The operators of WebGPU are there everywhere.
  const plain: Emitter = createEmitter(body, nodes, 'webgpu', undefined);
  const { emitter, nameOf } = readReduced(withAxes(plain, axes), weights);
  const names = emitNodes(graph, emitter, nameOf);
  for (const node of namedOutputs(graph, nodes, names)) body.message(1, nodeProto(node));
  body.string(2, 'tunesmith');
  const axisName = (length: number) => axes.find((axis) => axis.length === length)?.name;
  for (const [name, id] of Object.entries(graph.inputs)) {
    if (!weights.has(name)) body.message(11, valueInfo(name, graph.nodes[id]!, axisName));
  }
  for (const [name, id] of Object.entries(graph.outputs)) {
    body.message(12, valueInfo(name, graph.nodes[id]!, axisName));
  }
}

// Element types of onnx.proto3.
const [FLOAT, UINT8, FLOAT16] = [1, 2, 10];

/** The tensors that hold a weight: itself, or the codes and the scales of its blocks. */
function partsOf(name: string, weight: FileWeight): Part[] {
  const { form, shape } = weight;
  if (form === 'F32' || form === 'F16') {
    const bytes = sizeOf(shape) * (form === 'F32' ? 4 : 2);
    const encode = (values: Float32Array) => floatsToBytes(values, form);
    const elemType = form === 'F32' ? FLOAT : FLOAT16;
    return [{ name, elemType, shape, bytes, pieces: () => encoded(weight, encode) }];
  }
  const [rows, columns] = shape as readonly [number, number];
  const blocks = columns / 32;
  const part = (which: 'codes' | 'scales', elemType: number, own: Shape, bytes: number): Part => ({
    name: `${name}.${which}`,
    elemType,
    shape: own,
    bytes,
    pieces: () => encoded(weight, (values) => unpackBlocks(form, quantize(form, values))[which]),
  });
  return [
    part('codes', UINT8, [rows, blocks, codeBytes(form)], rows * blocks * codeBytes(form)),
    part('scales', FLOAT, [rows, blocks], rows * blocks * 4),
  ];
}

/** The bytes of a weight, some rows at a time. */
function* encoded(
  { shape, rows: read }: FileWeight,
  encode: (values: Float32Array) => Uint8Array | Float32Array,
): Generator<Uint8Array> {
  const rows = shape[0] ?? 1;
  const step = Math.max(1, Math.floor(PIECE_VALUES / sizeOf(shape.slice(1))));
  for (let first = 0; first < rows; first += step) {
    const { buffer, byteOffset, byteLength } = encode(read(first, Math.min(step, rows - first)));
    yield new Uint8Array(buffer, byteOffset, byteLength);
  }
}
