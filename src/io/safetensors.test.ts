import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import { BLOCKS } from './blocks.ts';
import { readStored, readStoredRaw, readStoredRows } from './read-stored.ts';
import {
  fetchedPieces,
  openSafetensorsFolder,
  readSafetensorsHeader,
  SAFETENSORS_DTYPES,
  writeSafetensors,
} from './safetensors.ts';
import { writeStreamed } from './write-streamed.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-safetensors-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(header: unknown, data: Uint8Array = new Uint8Array(0), length?: number | bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(length ?? json.length));
  const path = join(folder, 'x.safetensors');
  writeFileSync(path, Buffer.concat([prefix, json, data]));
  return path;
}

const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof TunesmithError) return `${error.code} ${error.details.message}`;
    throw error;
  }
  return 'no error';
}

describe('readSafetensorsHeader', () => {
  it('reads names, shapes, metadata and places', () => {
    const header = {
      __metadata__: { format: 'pt', note: 'x' },
      b: f32([1], 8, 12),
      a: f32([2, 1], 0, 8),
      s: f32([], 12, 16),
    };
    const path = fileOf(header, new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer));
    const { metadata, tensors } = readSafetensorsHeader(path);
    expect(metadata).toEqual({ format: 'pt', note: 'x' });
    expect(tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ['a', [2, 1]],
      ['b', [1]],
      ['s', []],
    ]);
    expect(tensors.map((tensor) => [...readStored(tensor)])).toEqual([[1, 2], [3], [4]]);
  });

  const eight = new Uint8Array(8);
  it.each<[string, () => string, RegExp]>([
    ['a file of three bytes', () => writeRaw(Buffer.from('abc')), /SAFETENSORS_HEADER .*3 bytes/],
    ['a header longer than the file', () => fileOf('{}', undefined, 3), /SAFETENSORS_HEADER .*header of 3 bytes/],
    ['a header of 2^63 bytes', () => fileOf('{}', undefined, 2n ** 63n), /SAFETENSORS_HEADER/],
    ['a header that is no JSON', () => fileOf('{"a":'), /SAFETENSORS_HEADER .*not JSON/],
    ['a header that is an array', () => fileOf('[]'), /SAFETENSORS_HEADER .*no JSON object/],
    ['a header nested without end', () => fileOf(`{"a":${'['.repeat(100_000)}`), /SAFETENSORS_HEADER .*nested/],
    ['metadata that is no text', () => fileOf({ __metadata__: { a: 1 } }), /SAFETENSORS_HEADER .*__metadata__/],
    [
      'a name that stands twice',
      () => fileOf('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0061":1}'),
      /"a" twice/,
    ],
    [
      'an unknown dtype',
      () => fileOf({ w: { ...f32([2], 0, 8), dtype: 'F8_E4M3' } }, eight),
      /DTYPE_UNKNOWN tensor "w" has dtype "F8_E4M3"/,
    ],
    ['a shape below zero', () => fileOf({ w: f32([-2], 0, 8) }, eight), /SAFETENSORS_HEADER tensor "w" has no shape/],
    ['a shape that its bytes deny', () => fileOf({ w: f32([3], 0, 8) }, eight), /OFFSETS tensor "w" has 8 bytes/],
    ['a shape that overflows', () => fileOf({ w: f32([2 ** 40, 2 ** 40], 0, 8) }, eight), /OFFSETS tensor "w"/],
    ['offsets backwards', () => fileOf({ w: f32([2], 8, 0) }, eight), /OFFSETS tensor "w"/],
    [
      'offsets past the end',
      () => fileOf({ w: f32([4], 0, 16) }, eight),
      /OFFSETS tensor "w" ends at data byte 16 of 8/,
    ],
    [
      'two tensors on the same bytes',
      () => fileOf({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, eight),
      /OFFSETS tensor "b" overlaps/,
    ],
    [
      'a hole',
      () => fileOf({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, new Uint8Array(12)),
      /OFFSETS 4 bytes before tensor "b"/,
    ],
    ['bytes left over', () => fileOf({ a: f32([1], 0, 4) }, eight), /OFFSETS its last 4 bytes/],
    ['no file', () => join(folder, 'none.safetensors'), /FILE_NOT_FOUND/],
    ['a folder', () => folder, /FILE_UNREADABLE/],
  ])('refuses %s', (_name, make, expected) => {
    const path = make();
    expect(codeOf(() => readSafetensorsHeader(path))).toMatch(expected);
  });

  function writeRaw(bytes: Uint8Array): string {
    const path = join(folder, 'raw.safetensors');
    writeFileSync(path, bytes);
    return path;
  }

  it('takes any bytes at all, or refuses them with a catalogue error', () => {
    const tensors = [{ name: 'a', type: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) } as const];
    const path = join(folder, 'whole.safetensors');
    writeSafetensors(path, tensors);
    const whole = readFileSync(path);
    const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(flips, fc.nat(whole.length), fc.uint8Array({ maxLength: 20 }), (changes, length, tail) => {
        const bytes = Buffer.concat([whole.subarray(0, length), tail]);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const broken = writeRaw(bytes);
        codeOf(() => readSafetensorsHeader(broken).tensors.map((tensor) => readStored(tensor)));
      }),
      { numRuns: 300 },
    );
  });

  it('takes any JSON header, or refuses it with a catalogue error', () => {
    const number = fc.oneof(fc.nat(20), fc.double(), fc.constantFrom(-1, 2 ** 53, 1e308));
    const entry = fc.record(
      {
        dtype: fc.oneof(fc.constantFrom(...SAFETENSORS_DTYPES), fc.string()),
        shape: fc.oneof(fc.array(number, { maxLength: 3 }), fc.jsonValue()),
        data_offsets: fc.oneof(fc.array(number, { maxLength: 3 }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(fc.oneof(fc.string(), fc.constant('__metadata__')), fc.oneof(entry, fc.jsonValue()));
    fc.assert(
      fc.property(header, (value) => {
        const path = fileOf(value, new Uint8Array(16));
        codeOf(() => readSafetensorsHeader(path).tensors.map((tensor) => readStored(tensor)));
      }),
      { numRuns: 300 },
    );
  });
});

describe('writeSafetensors', () => {
  it('gives back what was written', () => {
    const tensor = fc.record({
      name: fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => name !== '__metadata__'),
      type: fc.constantFrom(...SAFETENSORS_DTYPES),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
      seed: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }), (specs) => {
        const tensors = specs.map(({ name, type, shape, seed }) => {
          const bytes = shape.reduce((n, axis) => n * axis, 1) * BLOCKS[type].bytes;
          return { name, type, shape, data: Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + seed) & 255) };
        });
        const path = join(folder, 'round.safetensors');
        writeSafetensors(path, tensors, { seed: '1' });
        const read = readSafetensorsHeader(path);
        expect(read.metadata).toEqual({ format: 'pt', seed: '1' });
        const byName = new Map(read.tensors.map((stored) => [stored.name, stored]));
        expect(byName.size).toBe(tensors.length);
        for (const { name, type, shape, data } of tensors) {
          const stored = byName.get(name);
          expect(stored).toMatchObject({ type, shape });
          expect(stored!.offset % BLOCKS[type].bytes).toBe(0);
          expect([...readStoredRaw(stored!)]).toEqual([...data]);
        }
        const first = readFileSync(path);
        writeSafetensors(path, tensors.toReversed(), { seed: '1' });
        expect(readFileSync(path).equals(first)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('writes the same bytes of tensors that are fetched one by one', async () => {
    const tensors = [
      { name: 'b', type: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
      { name: 'a', type: 'F32', shape: [2], data: Float32Array.of(4, 5) },
    ] as const;
    const [path, streamed] = [join(folder, 'whole.safetensors'), join(folder, 'streamed.safetensors')];
    writeSafetensors(path, tensors);
    const order: string[] = [];
    const fetch = (name: string, data: ArrayBufferView) => async () => {
      order.push(name);
      return data;
    };
    const fetched = tensors.map(({ data, ...rest }) => ({ ...rest, fetch: fetch(rest.name, data) }));
    await writeStreamed(streamed, fetchedPieces(fetched));
    expect(readFileSync(streamed).equals(readFileSync(path))).toBe(true);
    expect(order).toEqual(['a', 'b']);
  });

  it('leaves the old file and no rubbish when the data fails', () => {
    const at = join(folder, 'atomic');
    mkdirSync(at);
    const path = join(at, 'a.safetensors');
    writeSafetensors(path, []);
    const before = readFileSync(path);
    const data = (): Float32Array => {
      throw new Error('gone');
    };
    expect(() => writeSafetensors(path, [{ name: 'a', type: 'F32', shape: [1], data }])).toThrow('gone');
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(at)).toEqual(['a.safetensors']);
  });

  it('says that the folder is gone', () => {
    expect(codeOf(() => writeSafetensors(join(folder, 'none', 'a.safetensors'), []))).toMatch(/FILE_WRITE_FAILED/);
  });
});

describe('readStoredRows', () => {
  it('reads rows of every width, as readStored does', () => {
    const path = join(folder, 'rows.safetensors');
    const values = Float32Array.from({ length: 35 }, (_, i) => i);
    writeSafetensors(path, [{ name: 'a', type: 'F32', shape: [5, 7], data: values }]);
    const tensor = readSafetensorsHeader(path).tensors[0]!;
    expect([...readStoredRows(tensor, 2, 2)]).toEqual([...values.subarray(14, 28)]);
    expect(readStoredRows(tensor, 5, 0)).toHaveLength(0);
    expect(() => readStoredRows(tensor, 4, 2)).toThrow('internal');
  });

  it('says that a file was cut after its header was read', () => {
    const path = join(folder, 'cut.safetensors');
    writeSafetensors(path, [{ name: 'a', type: 'F32', shape: [2], data: Float32Array.of(1, 2) }]);
    const tensor = readSafetensorsHeader(path).tensors[0]!;
    writeFileSync(path, readFileSync(path).subarray(0, -1));
    expect(codeOf(() => readStored(tensor))).toMatch(/FILE_CUT_SHORT/);
  });
});

describe('openSafetensorsFolder', () => {
  const shardFolder = (name: string, index: unknown): string => {
    const path = join(folder, name);
    mkdirSync(path);
    writeSafetensors(join(path, 'm-1.safetensors'), [{ name: 'a', type: 'F32', shape: [1], data: Float32Array.of(1) }]);
    writeSafetensors(join(path, 'm-2.safetensors'), [{ name: 'b', type: 'F32', shape: [1], data: Float32Array.of(2) }]);
    writeFileSync(join(path, 'model.safetensors.index.json'), JSON.stringify(index));
    return path;
  };

  it('finds each tensor in its shard', () => {
    const path = shardFolder('good', { weight_map: { b: 'm-2.safetensors', a: 'm-1.safetensors' } });
    const { tensors } = openSafetensorsFolder(path);
    expect(tensors.map((tensor) => [tensor.name, readStored(tensor)[0]])).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
  });

  it.each<[string, unknown, RegExp]>([
    ['a shard that is not there', { a: 'm-3.safetensors' }, /INDEX .*"m-3.safetensors", which is not there/],
    ['a tensor that its shard lacks', { b: 'm-1.safetensors' }, /INDEX .*"b" is in "m-1.safetensors", which lacks it/],
    ['a shard elsewhere', { a: '../good/m-1.safetensors' }, /INDEX .*no plain name/],
    ['an absolute shard', { a: '/m-1.safetensors' }, /INDEX .*no plain name/],
    ['a shard on a Windows path', { a: '..\\m-1.safetensors' }, /INDEX .*no plain name/],
    ['a shard whose name holds a NUL', { a: 'm\0.safetensors' }, /INDEX .*no plain name/],
    ['no weight_map', undefined, /INDEX .*no weight_map/],
    ['a weight_map of numbers', { a: 1 }, /INDEX .*no weight_map/],
  ])('refuses %s', (name, weight_map, expected) => {
    const path = shardFolder(name, { weight_map });
    expect(codeOf(() => openSafetensorsFolder(path))).toMatch(expected);
  });

  it('names what it looked for in a folder without weights', () => {
    const path = join(folder, 'empty');
    mkdirSync(path);
    expect(codeOf(() => openSafetensorsFolder(path))).toMatch(/FILE_NOT_FOUND .*model.safetensors/);
    expect(codeOf(() => openSafetensorsFolder(join(path, 'none')))).toMatch(/FILE_NOT_FOUND/);
  });
});
