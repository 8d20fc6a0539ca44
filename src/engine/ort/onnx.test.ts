import { describe, expect, it } from 'vitest';
import { createBuilder, finishGraph } from '../../graph/index.ts';
import { toOnnx } from './onnx.ts';
import { protoWriter } from './protobuf.ts';

/** One field of a protobuf message: its number and, by wire type, an integer, a 32-bit pattern or bytes. */
type Field = readonly [number, bigint | number | Uint8Array];

/** Reads the protobuf wire format, knowing nothing of ONNX. */
function decode(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const [field, wire] = [tag >> 3, tag & 7];
    if (wire === 0) fields.push([field, varint()]);
    else if (wire === 5) {
      fields.push([field, new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true)]);
      at += 4;
    } else if (wire === 2) {
      const length = Number(varint());
      fields.push([field, bytes.subarray(at, at + length)]);
      at += length;
    } else throw new Error(`wire type ${wire}`);
  }
  return fields;
}

const all = (fields: Field[], number: number) => fields.filter(([n]) => n === number).map(([, value]) => value);
const message = (value: Field[1] | undefined) => decode(value as Uint8Array);
const text = (value: Field[1] | undefined) => new TextDecoder().decode(value as Uint8Array);
const texts = (fields: Field[], number: number) => all(fields, number).map(text);

/** Attributes of a NodeProto by name: [type, value]. */
function attributes(node: Field[]): Record<string, unknown> {
  return Object.fromEntries(
    all(node, 5).map((value) => {
      const a = message(value);
      const type = Number(all(a, 20)[0]);
      const numbers = { 1: 2, 2: 3, 7: 8 }[type]!;
      return [text(all(a, 1)[0]), all(a, numbers).map(Number)];
    }),
  );
}

/** Name, element type and dimensions of a ValueInfoProto. */
function valueInfo(value: Field[1]): unknown[] {
  const info = message(value);
  const tensor = message(all(message(all(info, 2)[0]), 1)[0]);
  const dims = all(message(all(tensor, 2)[0]), 1).map((d) => Number(all(message(d), 1)[0]));
  return [text(all(info, 1)[0]), Number(all(tensor, 1)[0]), dims];
}

describe('the ONNX writer', () => {
  const g = createBuilder();
  const [x, w, index] = [g.input('x', [2, 3]), g.input('w', [4, 3]), g.input('index', [5], 'i32')];
  const y = g.matMul(x, w, { transB: true, alpha: 0.5 });
  const z = g.transpose(g.slice(g.gather(w, index), { axis: 1, start: 1, end: 3 }), [1, 0]);
  const model = decode(toOnnx(finishGraph(g, { y, z, half: g.add(y, g.scalar(0.5)) }), 'cpu'));
  const graph = message(all(model, 7)[0]);

  it('declares the IR version and the opsets', () => {
    expect(all(model, 1)).toEqual([10n]);
    const opsets = all(model, 8).map((value) => [text(all(message(value), 1)[0]), Number(all(message(value), 2)[0])]);
    expect(opsets).toEqual([
      ['', 21],
      ['com.microsoft', 1],
    ]);
  });

  it('declares inputs and outputs with their types and shapes', () => {
    expect(all(graph, 11).map(valueInfo)).toEqual([
      ['x', 1, [2, 3]],
      ['w', 1, [4, 3]],
      ['index', 6, [5]],
    ]);
    expect(all(graph, 12).map(valueInfo)).toEqual([
      ['y', 1, [2, 4]],
      ['z', 1, [2, 5]],
      ['half', 1, [2, 4]],
    ]);
  });

  it('writes nodes in order, with their attributes, each input made before', () => {
    const nodes = all(graph, 1).map(message);
    const known = new Set([
      ...texts(graph, 11),
      'x',
      'w',
      'index',
      ...all(graph, 5).map((t) => text(all(message(t), 8)[0])),
    ]);
    for (const node of nodes) {
      for (const input of texts(node, 1)) expect(known).toContain(input);
      for (const output of texts(node, 2)) known.add(output);
    }
    const gemm = nodes.find((node) => texts(node, 4)[0] === 'Gemm')!;
    expect(texts(gemm, 1)).toEqual(['x', 'w']);
    expect(attributes(gemm)).toEqual({ transA: [0], transB: [1], alpha: [0.5] });
    const transpose = nodes.find((node) => texts(node, 4)[0] === 'Transpose')!;
    expect(attributes(transpose)).toEqual({ perm: [1, 0] });
    expect(new Set(nodes.flatMap((node) => texts(node, 2)))).toContain('half');
    const names = nodes.map((node) => texts(node, 3)[0]);
    expect(new Set(names).size).toBe(names.length);
  });

  it('writes constants as raw little-endian data, equal ones once', () => {
    const tensors = all(graph, 5).map((value) => {
      const t = message(value);
      return { type: Number(all(t, 2)[0]), dims: all(t, 1).map(Number), raw: [...(all(t, 9)[0] as Uint8Array)] };
    });
    expect(tensors).toContainEqual({ type: 1, dims: [], raw: [0, 0, 0, 63] }); // 0.5
    expect(tensors).toContainEqual({ type: 7, dims: [1], raw: [3, 0, 0, 0, 0, 0, 0, 0] });
    // The slice starts at 1 on axis 1: one constant serves both.
    expect(tensors.filter((t) => t.type === 7 && t.raw[0] === 1)).toHaveLength(1);
  });
});

describe('the protobuf writer', () => {
  it('writes integers as varints, negative ones in two complements', () => {
    expect([...protoWriter().int(1, 0).finish()]).toEqual([8, 0]);
    expect([...protoWriter().int(1, 300).finish()]).toEqual([8, 0xac, 0x02]);
    expect([...protoWriter().int(3, -1).finish()]).toEqual([24, ...new Array(9).fill(255), 1]);
    const big = 2 ** 40 + 5;
    expect(decode(protoWriter().int(1, big).finish())).toEqual([[1, BigInt(big)]]);
  });

  it('writes field numbers above 15 in two bytes, and text as UTF-8', () => {
    expect([...protoWriter().int(20, 2).finish()]).toEqual([0xa0, 0x01, 2]);
    expect(text(all(decode(protoWriter().string(4, 'größe').finish()), 4)[0])).toBe('größe');
    expect(decode(protoWriter().float(2, 0.1).finish())).toEqual([[2, Math.fround(0.1)]]);
  });
});
