import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import { type Shape, sizeOf } from '../tensor/tensor.ts';
import { writeAtomic } from './atomic.ts';
import { BLOCKS, storedBytes } from './blocks.ts';
import { fileExists, readFully, readJson, requireFolder, withFile } from './files.ts';
import { duplicateKey, isRecord, jsonDepth, quoted } from './json-checks.ts';
import type { StoredTensor, StoredType } from './stored.ts';
import { piecesOf, type TensorToFetch, type TensorToWrite } from './tensor-to-write.ts';

/** The dtypes of safetensors that we read and write. */
export const SAFETENSORS_DTYPES = ['F32', 'F16', 'BF16', 'F64', 'I64', 'I32', 'U8'] as const satisfies StoredType[];
/** One of {@link SAFETENSORS_DTYPES}. */
export type SafetensorsDtype = (typeof SAFETENSORS_DTYPES)[number];

/** What a safetensors file, or a folder of shards, holds. */
export interface SafetensorsFile {
  /** The `__metadata__` of the header; empty where there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the data (of the shards, then of the data in each). */
  readonly tensors: readonly StoredTensor[];
}

/** Headers of real models stay far below; the JSON of a larger one would cost gigabytes before it could be checked. */
const LONGEST_HEADER = 32 * 1024 * 1024;

/**
 * Reads and checks the header of a safetensors file; the data is left on disk.
 *
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, SAFETENSORS_HEADER, SAFETENSORS_DTYPE_UNKNOWN, SAFETENSORS_OFFSETS
 */
export function readSafetensorsHeader(path: string): SafetensorsFile {
  const { text, dataStart, dataBytes } = withFile(path, (descriptor, size) => {
    if (size < 8) fail('SAFETENSORS_HEADER', path, `has ${size} bytes, too few for a safetensors file.`);
    const prefix = new Uint8Array(8);
    readFully(descriptor, prefix, 0, path);
    const length = new DataView(prefix.buffer).getBigUint64(0, true);
    if (length > BigInt(size - 8)) {
      fail('SAFETENSORS_HEADER', path, `promises a header of ${length} bytes, but only ${size - 8} follow.`);
    }
    if (length > LONGEST_HEADER) {
      fail('SAFETENSORS_HEADER', path, `has a header of ${length} bytes; at most ${LONGEST_HEADER} are read.`);
    }
    const header = new Uint8Array(Number(length));
    readFully(descriptor, header, 8, path);
    return { text: headerText(header, path), dataStart: 8 + header.length, dataBytes: size - 8 - header.length };
  });
  const header = parseHeader(text, path);
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = Object.entries(entries).map(([name, entry]) => parseEntry(name, entry, path, dataStart));
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  checkTiling(tensors, path, dataStart, dataBytes);
  return { metadata: parseMetadata(metadata, path), tensors };
}

/**
 * The tensors of a model folder: of `model.safetensors`, or of the shards that `model.safetensors.index.json` names.
 *
 * @throws as {@link readSafetensorsHeader}, and SAFETENSORS_INDEX
 */
export function openSafetensorsFolder(folder: string): SafetensorsFile {
  requireFolder(folder);
  const single = join(folder, 'model.safetensors');
  if (fileExists(single)) return readSafetensorsHeader(single);
  const index = join(folder, 'model.safetensors.index.json');
  if (fileExists(index)) return openShards(folder, index);
  const pickled = fileExists(join(folder, 'pytorch_model.bin')) || fileExists(join(folder, 'model.bin'));
  throw new TunesmithError('FILE_NOT_FOUND', {
    message: 'holds neither model.safetensors nor model.safetensors.index.json.',
    file: folder,
    fix: pickled ? 'convert the .bin weights, which are Python pickles, to safetensors first.' : undefined,
  });
}

/**
 * Writes a safetensors file, whole or not at all. The same tensors give the same bytes: no time or path goes in, wide types come first and then names
 * in order (so that every tensor is aligned, as the reference implementation does it), and the metadata always says `format: pt`, without which transformers refuses the file.
 *
 * @throws DISK_FULL, FILE_WRITE_FAILED
 */
export function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite<SafetensorsDtype>[],
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeAtomic(path, safetensorsPieces(tensors, metadata));
}

/** The bytes of a safetensors file, piece by piece; see {@link writeSafetensors}. */
export function* safetensorsPieces(
  tensors: readonly TensorToWrite<SafetensorsDtype>[],
  metadata: Readonly<Record<string, string>> = {},
): Generator<Uint8Array> {
  const { header, sorted } = laidOut(tensors, metadata);
  yield header;
  for (const tensor of sorted) yield* piecesOf(tensor);
}

/** As {@link safetensorsPieces}, of tensors that are fetched one after the other when it is their turn. */
export async function* fetchedPieces(tensors: readonly TensorToFetch<SafetensorsDtype>[]): AsyncGenerator<Uint8Array> {
  const { header, sorted } = laidOut(tensors);
  yield header;
  for (const { fetch, ...tensor } of sorted) yield* piecesOf({ ...tensor, data: await fetch() });
}

/** The header of a file, and its tensors in the order of their data. */
function laidOut<T extends Pick<TensorToWrite<SafetensorsDtype>, 'name' | 'type' | 'shape'>>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): { readonly header: Uint8Array; readonly sorted: readonly T[] } {
  const sorted = tensors.toSorted((a, b) => BLOCKS[b.type].bytes - BLOCKS[a.type].bytes || compare(a.name, b.name));
  const all = { format: 'pt', ...metadata };
  const entries: [string, unknown][] = [
    ['__metadata__', Object.fromEntries(Object.entries(all).sort(([a], [b]) => compare(a, b)))],
  ];
  let offset = 0;
  for (const tensor of sorted) {
    const bytes = storedBytes(tensor.type, tensor.shape) ?? 0;
    const data_offsets = [offset, offset + bytes];
    entries.push([tensor.name, { dtype: tensor.type, shape: tensor.shape, data_offsets }]);
    offset += bytes;
  }
  if (new Set(entries.map(([name]) => name)).size < entries.length) {
    throw new Error('internal: two tensors of one name were to be written');
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)), 'utf8');
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  return { header, sorted };
}

/** The hash of the file that {@link writeSafetensors} would write. */
export function safetensorsSha256(tensors: readonly TensorToWrite<SafetensorsDtype>[]): string {
  const hash = createHash('sha256');
  for (const piece of safetensorsPieces(tensors)) hash.update(piece);
  return hash.digest('hex');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function fail(code: ErrorCode, file: string, message: string, cause?: unknown): never {
  throw new TunesmithError(code, { message, file, cause });
}

function headerText(header: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch (cause) {
    return fail('SAFETENSORS_HEADER', path, 'has a header that is not UTF-8.', cause);
  }
}

function parseHeader(text: string, path: string): Record<string, unknown> {
  if (!text.startsWith('{')) fail('SAFETENSORS_HEADER', path, 'has no JSON object for a header.');
  if (jsonDepth(text) > 3) fail('SAFETENSORS_HEADER', path, 'has a header that is nested too deep.');
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    fail('SAFETENSORS_HEADER', path, 'has a header that is not JSON.', cause);
  }
  if (!isRecord(header)) return fail('SAFETENSORS_HEADER', path, 'has no JSON object for a header.');
  const twice = duplicateKey(text);
  if (twice !== undefined) fail('SAFETENSORS_HEADER', path, `has a header with ${quoted(twice)} twice.`);
  return header;
}

function parseMetadata(metadata: unknown, path: string): Readonly<Record<string, string>> {
  if (!isStringRecord(metadata)) return fail('SAFETENSORS_HEADER', path, 'has __metadata__ that is not text by name.');
  return metadata;
}

function isStringRecord(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === 'string');
}

function isDtype(dtype: unknown): dtype is SafetensorsDtype {
  return SAFETENSORS_DTYPES.some((known) => known === dtype);
}

function isShape(shape: unknown): shape is Shape {
  return Array.isArray(shape) && shape.every((axis) => Number.isSafeInteger(axis) && axis >= 0);
}

function parseEntry(name: string, entry: unknown, path: string, dataStart: number): StoredTensor {
  const tensor = `tensor ${quoted(name)}`;
  if (!isRecord(entry)) return fail('SAFETENSORS_HEADER', path, `${tensor} is not described by an object.`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) {
    const got = typeof dtype === 'string' ? quoted(dtype) : 'none';
    const known = SAFETENSORS_DTYPES.join(', ');
    return fail('SAFETENSORS_DTYPE_UNKNOWN', path, `${tensor} has dtype ${got}, not one of ${known}.`);
  }
  if (!isShape(shape)) return fail('SAFETENSORS_HEADER', path, `${tensor} has no shape of whole numbers.`);
  if (!isShape(offsets) || offsets.length !== 2) {
    return fail('SAFETENSORS_OFFSETS', path, `${tensor} has no pair of data_offsets.`);
  }
  const [begin, end] = offsets as readonly [number, number];
  const bytes = storedBytes(dtype, shape);
  if (bytes === undefined || end - begin !== bytes) {
    const needs = `${sizeOf(shape)} values of ${dtype}`;
    return fail('SAFETENSORS_OFFSETS', path, `${tensor} has ${end - begin} bytes (${begin} to ${end}) for ${needs}.`);
  }
  return { name, type: dtype, shape, path, offset: dataStart + begin, bytes };
}

/** `tensors` are in the order of their data. */
function checkTiling(tensors: readonly StoredTensor[], path: string, dataStart: number, dataBytes: number): void {
  let end = dataStart;
  for (const { name, offset, bytes } of tensors) {
    const tensor = `tensor ${quoted(name)}`;
    if (offset + bytes > dataStart + dataBytes) {
      const past = offset + bytes - dataStart;
      const cut = 'the file is cut short or its header is wrong';
      fail('SAFETENSORS_OFFSETS', path, `${tensor} ends at data byte ${past} of ${dataBytes}: ${cut}.`);
    }
    if (offset < end) fail('SAFETENSORS_OFFSETS', path, `${tensor} overlaps the tensor before it.`);
    if (offset > end) fail('SAFETENSORS_OFFSETS', path, `${offset - end} bytes before ${tensor} belong to no tensor.`);
    end = offset + bytes;
  }
  const left = dataStart + dataBytes - end;
  if (left > 0) fail('SAFETENSORS_OFFSETS', path, `its last ${left} bytes belong to no tensor.`);
}

function openShards(folder: string, index: string): SafetensorsFile {
  const value = readJson(index);
  const map = isRecord(value) ? value.weight_map : undefined;
  if (!isStringRecord(map)) {
    return fail('SAFETENSORS_INDEX', index, 'has no weight_map from tensor names to file names.');
  }
  const tensors: StoredTensor[] = [];
  for (const shard of [...new Set(Object.values(map))].sort(compare)) {
    // A shard lies beside its index: no separators, no drive letters, no dot names.
    if (!/^[\w][\w.\-+ ]*\.safetensors$/.test(shard)) {
      fail(
        'SAFETENSORS_INDEX',
        index,
        `names the shard ${quoted(shard)}, which is no plain name of a .safetensors file.`,
      );
    }
    const path = join(folder, shard);
    if (!fileExists(path)) fail('SAFETENSORS_INDEX', index, `names the shard ${quoted(shard)}, which is not there.`);
    for (const tensor of readSafetensorsHeader(path).tensors) {
      if (Object.hasOwn(map, tensor.name) && map[tensor.name] === shard) tensors.push(tensor);
    }
  }
  const found = new Set(tensors.map(({ name }) => name));
  for (const [name, shard] of Object.entries(map)) {
    if (!found.has(name)) {
      fail('SAFETENSORS_INDEX', index, `says that tensor ${quoted(name)} is in ${quoted(shard)}, which lacks it.`);
    }
  }
  return { metadata: {}, tensors };
}
