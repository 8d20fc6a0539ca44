import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import { BLOCKS } from './blocks.ts';
import { readGguf } from './gguf.ts';
import type { GgufScalarType } from './gguf-format.ts';
import { type GgufField, writeGguf } from './gguf-write.ts';
import { readStored, readStoredRaw, readStoredRows } from './read-stored.ts';
import type { StoredType } from './stored.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-gguf-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const u8 = (n: number) => Buffer.of(n);
const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
};
const u64 = (n: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(n));
  return bytes;
};
const text = (s: string) => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
const head = (tensors: number | bigint, keys: number | bigint, version = 3) =>
  Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensors), u64(keys)]);
const tensor = (name: string, shape: (number | bigint)[], type: number, offset: number | bigint) =>
  Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);

/** Header parts, then 64 bytes of data at the next multiple of 32. */
function fileOf(...parts: Buffer[]): string {
  const header = Buffer.concat(parts);
  const path = join(folder, 'x.gguf');
  writeFileSync(path, Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), Buffer.alloc(64)]));
  return path;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof TunesmithError) return `${error.code} ${error.details.message}`;
    throw error;
  }
  return 'no error';
}

const SAMPLE: Record<string, GgufField> = {
  'general.architecture': { type: 'string', value: 'llama' },
  'a.u64': { type: 'u64', value: 2n ** 63n },
  'a.i64': { type: 'i64', value: -7 },
  'a.f32': { type: 'f32', value: 0.5 },
  'a.bool': { type: 'bool', value: true },
  tokens: { type: 'string[]', value: ['a', 'Ġb', '𝄞', ''] },
  types: { type: 'i32[]', value: [1, -3] },
};

describe('readGguf', () => {
  it('reads metadata and tensors, dimensions reversed', () => {
    const path = join(folder, 'sample.gguf');
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    writeGguf(path, { metadata: SAMPLE, tensors: [{ name: 'w', type: 'F32', shape: [2, 3], data }] });
    const { version, metadata, types, tensors } = readGguf(path);
    expect(version).toBe(3);
    expect(metadata).toEqual(Object.fromEntries(Object.entries(SAMPLE).map(([key, { value }]) => [key, value])));
    expect(types).toEqual(Object.fromEntries(Object.entries(SAMPLE).map(([key, { type }]) => [key, type])));
    expect(tensors).toMatchObject([{ name: 'w', type: 'F32', shape: [2, 3] }]);
    expect([...readStored(tensors[0]!)]).toEqual([...data]);
    expect(readFileSync(path).readBigUInt64LE(readFileSync(path).indexOf('w\x02\0\0\0') + 5)).toBe(3n);
  });

  it('reads version 2, nested arrays and its own alignment', () => {
    const nested = [text('n'), u32(9), u32(9), u64(2), u32(0), u64(1), u8(5), u32(8), u64(1), text('x')];
    const align = [text('general.alignment'), u32(4), u32(64)];
    const header = Buffer.concat([head(1, 2, 2), ...nested, ...align, tensor('w', [2], 0, 64)]);
    const path = join(folder, 'v2.gguf');
    const data = Buffer.from(new Float32Array([3, 4]).buffer);
    writeFileSync(path, Buffer.concat([header, Buffer.alloc(64 - (header.length % 64) + 64), data]));
    const file = readGguf(path);
    expect(file.version).toBe(2);
    expect(file.metadata.n).toEqual([[5], ['x']]);
    expect(file.types.n).toBe('array[]');
    expect([...readStored(file.tensors[0]!)]).toEqual([3, 4]);
  });

  it('reads a vocabulary of 50,000 tokens', () => {
    const path = join(folder, 'vocabulary.gguf');
    const tokens = Array.from({ length: 50_000 }, (_, i) => `Ġtoken${i}`);
    writeGguf(path, { metadata: { tokens: { type: 'string[]', value: tokens } }, tensors: [] });
    expect(readGguf(path).metadata.tokens).toEqual(tokens);
  });

  it('reads values that straddle the steps in which the header is read', () => {
    const path = join(folder, 'steps.gguf');
    const before = head(0, 3).length + text('pad').length + 4 + 8;
    for (let back = 0; back < 40; back++) {
      const pad = 'x'.repeat(2 ** 20 - before - back);
      const fields = { pad: ['string', pad], b: ['u32', 7], c: ['u64', 2 ** 40] } as const;
      const metadata = Object.fromEntries(Object.entries(fields).map(([key, [type, value]]) => [key, { type, value }]));
      writeGguf(path, { metadata, tensors: [] });
      const read = readGguf(path).metadata;
      expect([read.pad === pad, read.b, read.c]).toEqual([true, 7, 2 ** 40]);
    }
  });

  const big = 2n ** 62n;
  it.each<[string, () => string, RegExp]>([
    ['an empty file', () => rawFile(Buffer.alloc(0)), /GGUF_HEADER is cut short/],
    ['another magic', () => fileOf(Buffer.from('GGML'), u32(3)), /GGUF_HEADER does not start with GGUF/],
    ['version 1', () => fileOf(head(0, 0, 1)), /GGUF_HEADER is GGUF version 1/],
    ['big-endian', () => fileOf(head(0, 0, 0x03000000)), /GGUF_HEADER is a big-endian/],
    [
      '2^62 tensors',
      () => fileOf(head(big, 0)),
      /GGUF_HEADER is cut short: the number of tensors says 4611686018427387904/,
    ],
    ['2^62 keys', () => fileOf(head(0, big)), /GGUF_HEADER is cut short: the number of metadata keys/],
    [
      'a key of 2^62 bytes',
      () => fileOf(head(0, 1), u64(big)),
      /GGUF_HEADER is cut short: the length of a metadata key/,
    ],
    ['a key that is not UTF-8', () => fileOf(head(0, 1), u64(1), u8(0xff), u32(0), u8(0)), /GGUF_HEADER .*not UTF-8/],
    [
      'a key that stands twice',
      () => fileOf(head(0, 2), text('a'), u32(0), u8(1), text('a'), u32(0), u8(1)),
      /GGUF_METADATA .*"a" twice/,
    ],
    [
      'an unknown value type',
      () => fileOf(head(0, 1), text('a'), u32(13)),
      /GGUF_METADATA .*"a" has the unknown type 13/,
    ],
    ['a truth value of 2', () => fileOf(head(0, 1), text('a'), u32(7), u8(2)), /GGUF_METADATA .*truth value of 2/],
    [
      'an array of 2^62',
      () => fileOf(head(0, 1), text('a'), u32(9), u32(0), u64(big)),
      /GGUF_HEADER is cut short: the length of metadata "a"/,
    ],
    [
      'arrays without end',
      () => fileOf(head(0, 1), text('a'), u32(9), ...Array.from({ length: 50 }, () => [u32(9), u64(1)]).flat()),
      /GGUF_METADATA .*nests/,
    ],
    [
      'an odd alignment',
      () => fileOf(head(0, 1), text('general.alignment'), u32(4), u32(33)),
      /GGUF_METADATA .*general.alignment/,
    ],
    [
      'an alignment of zero',
      () => fileOf(head(0, 1), text('general.alignment'), u32(4), u32(0)),
      /GGUF_METADATA .*general.alignment/,
    ],
    [
      'five dimensions',
      () => fileOf(head(1, 0), tensor('w', [1, 1, 1, 1, 1], 0, 0)),
      /GGUF_TENSOR tensor "w" has 5 dimensions/,
    ],
    ['a dimension of 2^62', () => fileOf(head(1, 0), tensor('w', [big], 0, 0)), /GGUF_TENSOR tensor "w"/],
    [
      'dimensions that overflow',
      () => fileOf(head(1, 0), tensor('w', [2 ** 32, 2 ** 32], 0, 0)),
      /GGUF_TENSOR tensor "w"/,
    ],
    [
      'a type that we do not read',
      () => fileOf(head(1, 0), tensor('w', [256], 18, 0)),
      /GGUF_TYPE_UNKNOWN tensor "w" is stored as IQ3_XXS/,
    ],
    [
      'a type that nobody knows',
      () => fileOf(head(1, 0), tensor('w', [256], 99, 0)),
      /GGUF_TYPE_UNKNOWN tensor "w" is stored as type 99/,
    ],
    ['half a block', () => fileOf(head(1, 0), tensor('w', [16], 2, 0)), /GGUF_TENSOR tensor "w" \[16\] has rows .* 32/],
    ['data past the end', () => fileOf(head(1, 0), tensor('w', [17], 0, 0)), /GGUF_TENSOR is cut short: tensor "w"/],
    ['an offset of 2^62', () => fileOf(head(1, 0), tensor('w', [1], 0, big)), /GGUF_TENSOR tensor "w"/],
    ['a misaligned tensor', () => fileOf(head(1, 0), tensor('w', [1], 0, 4)), /GGUF_TENSOR tensor "w" starts at 4/],
    [
      'tensors that overlap',
      () => fileOf(head(2, 0), tensor('a', [16], 0, 0), tensor('b', [1], 0, 32)),
      /GGUF_TENSOR tensors "a" and "b" overlap/,
    ],
    [
      'one name for two',
      () => fileOf(head(2, 0), tensor('a', [1], 0, 0), tensor('a', [1], 0, 32)),
      /GGUF_TENSOR has tensor "a" twice/,
    ],
    ['no file', () => join(folder, 'none.gguf'), /FILE_NOT_FOUND/],
  ])('refuses %s', (_name, make, expected) => {
    const path = make();
    expect(codeOf(() => readGguf(path))).toMatch(expected);
  });

  function rawFile(bytes: Uint8Array): string {
    const path = join(folder, 'raw.gguf');
    writeFileSync(path, bytes);
    return path;
  }

  it('takes any bytes at all, or refuses them with a catalogue error', () => {
    const path = join(folder, 'whole.gguf');
    const data = Float32Array.of(1, 2);
    writeGguf(path, { metadata: SAMPLE, tensors: [{ name: 'w', type: 'F32', shape: [2], data }] });
    const whole = readFileSync(path);
    const flip = fc.tuple(fc.nat(whole.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 9, 255)));
    const length = fc.oneof(fc.nat(whole.length), fc.constant(whole.length));
    fc.assert(
      fc.property(fc.array(flip, { maxLength: 5 }), length, fc.uint8Array({ maxLength: 20 }), (flips, kept, tail) => {
        const bytes = Buffer.concat([whole.subarray(0, kept), tail]);
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        const broken = rawFile(bytes);
        codeOf(() => readGguf(broken).tensors.map((stored) => readStored(stored)));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses every length that is cut short', () => {
    const path = join(folder, 'whole.gguf');
    const data = new Uint8Array(64);
    writeGguf(path, { metadata: SAMPLE, tensors: [{ name: 'w', type: 'F32', shape: [16], data }] });
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      expect(codeOf(() => readGguf(rawFile(whole.subarray(0, length))))).toMatch(/^GGUF_(HEADER|TENSOR) is cut short/);
    }
  });
});

describe('writeGguf', () => {
  const ranges: Readonly<Record<Exclude<GgufScalarType, 'string' | 'bool' | 'f32' | 'f64'>, [bigint, bigint]>> = {
    u8: [0n, 255n],
    i8: [-128n, 127n],
    u16: [0n, 65535n],
    i16: [-32768n, 32767n],
    u32: [0n, 2n ** 32n - 1n],
    i32: [-(2n ** 31n), 2n ** 31n - 1n],
    u64: [0n, 2n ** 64n - 1n],
    i64: [-(2n ** 63n), 2n ** 63n - 1n],
  };
  const narrow = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
  const anyOf = (type: GgufScalarType): fc.Arbitrary<number | bigint | boolean | string> => {
    if (type === 'string') return fc.string({ unit: 'grapheme' });
    if (type === 'bool') return fc.boolean();
    if (type === 'f32') return fc.float();
    if (type === 'f64') return fc.double();
    return fc.bigInt(...ranges[type]).map(narrow);
  };
  const scalar = fc.constantFrom<GgufScalarType>(...(Object.keys(ranges) as 'u8'[]), 'string', 'bool', 'f32', 'f64');
  const field: fc.Arbitrary<GgufField> = scalar.chain((type) =>
    fc.oneof(
      anyOf(type).map((value): GgufField => ({ type, value })),
      fc.array(anyOf(type), { maxLength: 5 }).map((value): GgufField => ({ type: `${type}[]`, value })),
    ),
  );
  const stored = fc.record({
    name: fc.string({ unit: 'grapheme' }),
    type: fc.constantFrom(...(Object.keys(BLOCKS) as StoredType[]).filter((type) => type !== 'U8')),
    rows: fc.nat(3),
    blocks: fc.integer({ min: 1, max: 3 }),
  });

  it('gives back what was written', () => {
    const metadata = fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((k) => k !== 'general.alignment'),
      field,
    );
    const tensors = fc.uniqueArray(stored, { selector: ({ name }) => name, maxLength: 4 });
    fc.assert(
      fc.property(metadata, tensors, (fields, specs) => {
        const path = join(folder, 'round.gguf');
        const written = specs.map(({ name, type, rows, blocks }) => ({
          name,
          type,
          shape: [rows, blocks * BLOCKS[type].values],
          data: Uint8Array.from({ length: rows * blocks * BLOCKS[type].bytes }, (_, i) => i & 255),
        }));
        writeGguf(path, { metadata: fields, tensors: written });
        const read = readGguf(path);
        expect(Object.keys(read.metadata).sort()).toEqual(Object.keys(fields).sort());
        for (const [key, { type, value }] of Object.entries(fields)) {
          expect(read.types[key]).toBe(type);
          expect(read.metadata[key]).toEqual(value);
        }
        expect(read.tensors.map(({ name, type, shape }) => ({ name, type, shape }))).toEqual(
          written.map(({ name, type, shape }) => ({ name, type, shape })),
        );
        read.tensors.forEach((t, i) => {
          expect([...readStoredRaw(t)]).toEqual([...written[i]!.data]);
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('permutedHeads', () => {
  // What llama.cpp's converter does: reshape(heads, 2, half, in), swap axes 1 and 2.
  const [heads, half, width] = [3, 4, 32];
  const rows = heads * 2 * half;
  const permuted = (values: Float32Array): Float32Array => {
    const out = new Float32Array(values.length);
    for (let h = 0; h < heads; h++)
      for (let s = 0; s < 2; s++)
        for (let j = 0; j < half; j++)
          for (let c = 0; c < width; c++)
            out[((h * half + j) * 2 + s) * width + c] = values[((h * 2 + s) * half + j) * width + c]!;
    return out;
  };
  const values = Float32Array.from({ length: rows * width }, (_, i) => i);

  it('puts the rows back, whole or in part, as floats or bytes', () => {
    const path = join(folder, 'permuted.gguf');
    writeGguf(path, {
      metadata: {},
      tensors: [{ name: 'q', type: 'F32', shape: [rows, width], data: permuted(values) }],
    });
    const q = { ...readGguf(path).tensors[0]!, permutedHeads: heads };
    expect(readStored(q)).toEqual(values);
    expect(new Float32Array(readStoredRaw(q).buffer)).toEqual(values);
    for (let first = 0; first < rows; first += 5) {
      const count = Math.min(7, rows - first);
      expect(readStoredRows(q, first, count)).toEqual(values.slice(first * width, (first + count) * width));
    }
  });

  it('refuses heads that cannot share the rows', () => {
    const path = join(folder, 'permuted.gguf');
    writeGguf(path, { metadata: {}, tensors: [{ name: 'q', type: 'F32', shape: [rows, width], data: values }] });
    const [q] = readGguf(path).tensors;
    expect(codeOf(() => readStored({ ...q!, permutedHeads: 5 }))).toMatch(/GGUF_TENSOR tensor "q"/);
  });
});
