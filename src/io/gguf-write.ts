import { writeAtomic } from './atomic.ts';
import { storedBytes } from './blocks.ts';
import {
  GGML_TYPES,
  GGUF_ALIGNMENT,
  GGUF_ARRAY,
  GGUF_SCALARS,
  type GgufScalarType,
  type GgufValue,
} from './gguf-format.ts';
import { piecesOf, type TensorToWrite } from './tensor-to-write.ts';

/** A metadata value with the type that it gets in the file; readers such as llama.cpp insist on the type of a key. */
export interface GgufField {
  readonly type: GgufScalarType | `${GgufScalarType}[]`;
  readonly value: GgufValue;
}

/** What {@link writeGguf} writes. */
export interface GgufToWrite {
  /** Written in this order; `general.alignment` must not be among them. */
  readonly metadata: Readonly<Record<string, GgufField>>;
  /** Written in this order; of the block types the bytes are taken as they are. */
  readonly tensors: readonly TensorToWrite[];
}

/**
 * Writes a GGUF file of version 3, whole or not at all.
 *
 * @throws DISK_FULL, FILE_WRITE_FAILED
 */
export function writeGguf(path: string, file: GgufToWrite): void {
  writeAtomic(path, ggufPieces(file));
}

/** The bytes of a GGUF file of version 3, piece by piece. */
export function* ggufPieces({ metadata, tensors }: GgufToWrite): Generator<Uint8Array> {
  const header = headerBytes(metadata, tensors);
  yield header;
  yield new Uint8Array(padding(header.length));
  for (const tensor of tensors) {
    let bytes = 0;
    for (const piece of piecesOf(tensor)) {
      yield piece;
      bytes += piece.length;
    }
    yield new Uint8Array(padding(bytes));
  }
}

function padding(bytes: number): number {
  return (GGUF_ALIGNMENT - (bytes % GGUF_ALIGNMENT)) % GGUF_ALIGNMENT;
}

function headerBytes(metadata: GgufToWrite['metadata'], tensors: readonly TensorToWrite[]): Buffer {
  const fields = Object.entries(metadata);
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(fields.length)];
  for (const [key, { type, value }] of fields) parts.push(text(key), ...fieldBytes(type, value));
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    parts.push(
      text(name),
      u32(shape.length),
      ...shape.toReversed().map(u64),
      u32(typeNumber(GGML_TYPES, type)),
      u64(offset),
    );
    const bytes = storedBytes(type, shape) ?? 0;
    offset += bytes + padding(bytes);
  }
  return Buffer.concat(parts);
}

function typeNumber(names: Readonly<Record<number, string>>, name: string): number {
  const found = Object.keys(names).find((id) => names[Number(id)] === name);
  if (found === undefined) throw new Error(`internal: GGUF has no type ${name}`);
  return Number(found);
}

function fieldBytes(type: GgufField['type'], value: GgufValue): Buffer[] {
  if (!type.endsWith('[]')) return [u32(typeNumber(GGUF_SCALARS, type)), scalarBytes(type, value)];
  if (!Array.isArray(value)) throw new Error(`internal: a GGUF field of type ${type} must be an array`);
  const element = type.slice(0, -2);
  const items = value.map((item: GgufValue) => scalarBytes(element, item));
  return [u32(GGUF_ARRAY), u32(typeNumber(GGUF_SCALARS, element)), u64(value.length), ...items];
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function scalarBytes(type: string, value: GgufValue): Buffer {
  if (type === 'string' && typeof value === 'string') return text(value);
  if (type === 'bool' && typeof value === 'boolean') return Buffer.of(value ? 1 : 0);
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw new Error(`internal: ${typeof value} given for a GGUF value of type ${type}`);
  }
  const bytes = Buffer.alloc(8);
  switch (type) {
    case 'u64':
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
    case 'i64':
      bytes.writeBigInt64LE(BigInt(value));
      return bytes;
    case 'f64':
      bytes.writeDoubleLE(Number(value));
      return bytes;
    case 'f32':
      bytes.writeFloatLE(Number(value));
      return bytes.subarray(0, 4);
    default:
      return smallInteger(type, Number(value), bytes);
  }
}

function smallInteger(type: string, value: number, bytes: Buffer): Buffer {
  const size = Number(type.slice(1)) / 8;
  if (!Number.isInteger(size)) throw new Error(`internal: a number given for a GGUF value of type ${type}`);
  if (type.startsWith('u')) bytes.writeUIntLE(value, 0, size);
  else bytes.writeIntLE(value, 0, size);
  return bytes.subarray(0, size);
}
