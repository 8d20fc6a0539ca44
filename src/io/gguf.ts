import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import { BLOCKS, storedBytes } from './blocks.ts';
import { withFile } from './files.ts';
import { type GgufCursor, ggufCursor } from './gguf-cursor.ts';
import {
  GGML_OTHER_TYPES,
  GGML_TYPES,
  GGUF_ALIGNMENT,
  GGUF_ARRAY,
  GGUF_SCALAR_BYTES,
  GGUF_SCALARS,
  type GgufScalarType,
  type GgufValue,
  type GgufValueType,
} from './gguf-format.ts';
import { quoted } from './json-checks.ts';
import type { StoredTensor } from './stored.ts';

/** What a GGUF file holds. */
export interface GgufFile {
  readonly version: 2 | 3;
  readonly metadata: Readonly<Record<string, GgufValue>>;
  /** The type that each metadata value has in the file, for writing it again. */
  readonly types: Readonly<Record<string, GgufValueType>>;
  /** In the order of the file; dimensions reversed to row-major. */
  readonly tensors: readonly StoredTensor[];
}

/** More than any model has; kept small so that a hostile file cannot make millions of objects. */
const MOST_ENTRIES = 65536;
/** Elements of all metadata arrays together. The largest vocabularies have some 300,000 tokens and as many merges. */
const MOST_ELEMENTS = 2 ** 24;
const DEEPEST_ARRAY = 4;

/**
 * Reads and checks the header of a GGUF file (version 2 or 3, little-endian); the data is left on disk. All counts and lengths are held against
 * the file's size before anything is allocated.
 *
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, GGUF_HEADER, GGUF_METADATA, GGUF_TENSOR, GGUF_TYPE_UNKNOWN
 */
export function readGguf(path: string): GgufFile {
  return withFile(path, (descriptor, size) => {
    const cursor = ggufCursor(descriptor, size, path);
    const version = readVersion(cursor, path);
    const tensorCount = cursor.count(24, 'the number of tensors');
    const keyCount = cursor.count(13, 'the number of metadata keys');
    if (Math.max(tensorCount, keyCount) > MOST_ENTRIES) {
      fail('GGUF_HEADER', path, `claims ${tensorCount} tensors and ${keyCount} metadata keys.`);
    }
    const { metadata, types } = readMetadata(cursor, keyCount, path);
    const headers = Array.from({ length: tensorCount }, () => readTensorHeader(cursor, path));
    const alignment = alignmentOf(metadata, path);
    const dataStart = Math.ceil(cursor.position() / alignment) * alignment;
    const tensors = headers.map((header) => placeTensor(header, dataStart, alignment, size, path));
    checkApart(tensors, path);
    return { version, metadata, types, tensors };
  });
}

function fail(code: ErrorCode, file: string, message: string): never {
  throw new TunesmithError(code, { message, file });
}

function readVersion(cursor: GgufCursor, path: string): 2 | 3 {
  const at = cursor.take(8, 'its first 8 bytes');
  const view = cursor.view();
  if (view.getUint32(at, true) !== 0x46554747) return fail('GGUF_HEADER', path, 'does not start with GGUF.');
  const version = view.getUint32(at + 4, true);
  if (version === 2 || version === 3) return version;
  if (view.getUint32(at + 4, false) <= 3) return fail('GGUF_HEADER', path, 'is a big-endian GGUF file.');
  return fail('GGUF_HEADER', path, `is GGUF version ${version}; 2 and 3 are read.`);
}

function readMetadata(cursor: GgufCursor, keys: number, path: string): Pick<GgufFile, 'metadata' | 'types'> {
  const metadata = new Map<string, GgufValue>();
  const types = new Map<string, GgufValueType>();
  const budget = { elements: MOST_ELEMENTS };
  for (let i = 0; i < keys; i++) {
    const key = cursor.text('a metadata key');
    const what = `metadata ${quoted(key)}`;
    if (metadata.has(key)) fail('GGUF_METADATA', path, `has ${what} twice.`);
    const type = cursor.u32(`the type of ${what}`);
    if (type === GGUF_ARRAY) {
      const { element, values } = readArray(cursor, what, path, budget, 1);
      metadata.set(key, values);
      types.set(key, `${element}[]`);
    } else {
      const scalar = scalarType(type, what, path);
      metadata.set(key, readScalar(cursor, scalar, what, path));
      types.set(key, scalar);
    }
  }
  return { metadata: Object.fromEntries(metadata), types: Object.fromEntries(types) };
}

function scalarType(type: number, what: string, path: string): GgufScalarType {
  const scalars: Readonly<Record<number, GgufScalarType>> = GGUF_SCALARS;
  return scalars[type] ?? fail('GGUF_METADATA', path, `${what} has the unknown type ${type}.`);
}

function readArray(
  cursor: GgufCursor,
  what: string,
  path: string,
  budget: { elements: number },
  depth: number,
): { element: GgufScalarType | 'array'; values: GgufValue[] } {
  if (depth > DEEPEST_ARRAY) fail('GGUF_METADATA', path, `${what} nests arrays more than ${DEEPEST_ARRAY} deep.`);
  const type = cursor.u32(`the element type of ${what}`);
  const element = type === GGUF_ARRAY ? 'array' : scalarType(type, what, path);
  const each = element === 'array' ? 12 : GGUF_SCALAR_BYTES[element];
  const count = cursor.count(each, `the length of ${what}`);
  budget.elements -= count;
  if (budget.elements < 0) fail('GGUF_METADATA', path, `${what} brings its arrays to over ${MOST_ELEMENTS} elements.`);
  const values: GgufValue[] = [];
  for (let i = 0; i < count; i++) {
    if (element === 'array') values.push(readArray(cursor, what, path, budget, depth + 1).values);
    else values.push(readScalar(cursor, element, what, path));
  }
  return { element, values };
}

function readScalar(cursor: GgufCursor, type: GgufScalarType, what: string, path: string): GgufValue {
  if (type === 'string') return cursor.text(what);
  if (type === 'u64') return cursor.u64(what);
  if (type === 'i64') return cursor.i64(what);
  const at = cursor.take(GGUF_SCALAR_BYTES[type], what);
  const view = cursor.view();
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 'i8':
      return view.getInt8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'i16':
      return view.getInt16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'i32':
      return view.getInt32(at, true);
    case 'f32':
      return view.getFloat32(at, true);
    case 'f64':
      return view.getFloat64(at, true);
    case 'bool': {
      const byte = view.getUint8(at);
      return byte <= 1 ? byte === 1 : fail('GGUF_METADATA', path, `${what} has a truth value of ${byte}.`);
    }
    default:
      return type satisfies never;
  }
}

function alignmentOf(metadata: GgufFile['metadata'], path: string): number {
  if (!Object.hasOwn(metadata, 'general.alignment')) return GGUF_ALIGNMENT;
  const alignment = metadata['general.alignment'];
  const isPower =
    typeof alignment === 'number' && alignment >= 1 && alignment <= 2 ** 20 && Number.isInteger(Math.log2(alignment));
  return isPower
    ? alignment
    : fail('GGUF_METADATA', path, 'has a general.alignment that is no power of two up to 2^20.');
}

interface TensorHeader {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function readTensorHeader(cursor: GgufCursor, path: string): TensorHeader {
  const name = cursor.text("a tensor's name");
  const what = `tensor ${quoted(name)}`;
  const axes = cursor.u32(`the axes of ${what}`);
  if (axes > 4) fail('GGUF_TENSOR', path, `${what} has ${axes} dimensions.`);
  const shape = Array.from({ length: axes }, () => safe(cursor.u64(`the shape of ${what}`), what, path)).reverse();
  const type = cursor.u32(`the type of ${what}`);
  return { name, shape, type, offset: safe(cursor.u64(`the offset of ${what}`), what, path) };
}

function safe(value: number | bigint, what: string, path: string): number {
  return typeof value === 'number' ? value : fail('GGUF_TENSOR', path, `${what} has the impossible number ${value}.`);
}

function placeTensor(
  { name, shape, type: id, offset }: TensorHeader,
  dataStart: number,
  alignment: number,
  size: number,
  path: string,
): StoredTensor {
  const what = `tensor ${quoted(name)}`;
  const type = GGML_TYPES[id];
  if (type === undefined) {
    return fail('GGUF_TYPE_UNKNOWN', path, `${what} is stored as ${GGML_OTHER_TYPES[id] ?? `type ${id}`}.`);
  }
  const bytes = storedBytes(type, shape);
  if (bytes === undefined) {
    return fail(
      'GGUF_TENSOR',
      path,
      `${what} [${shape}] has rows that are no multiple of ${BLOCKS[type].values} values.`,
    );
  }
  if (offset % alignment !== 0) fail('GGUF_TENSOR', path, `${what} starts at ${offset}, no multiple of ${alignment}.`);
  const end = dataStart + offset + bytes;
  if (end > size) fail('GGUF_TENSOR', path, `is cut short: ${what} ends at byte ${end}, but the file has ${size}.`);
  return { name, type, shape, path, offset: dataStart + offset, bytes };
}

function checkApart(tensors: readonly StoredTensor[], path: string): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name)) fail('GGUF_TENSOR', path, `has tensor ${quoted(name)} twice.`);
    names.add(name);
  }
  let end = 0;
  let before = '';
  for (const { name, offset, bytes } of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (offset < end) fail('GGUF_TENSOR', path, `tensors ${quoted(before)} and ${quoted(name)} overlap.`);
    end = offset + bytes;
    before = name;
  }
}
