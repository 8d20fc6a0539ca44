import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { TunesmithError } from '../errors/index.ts';
import type { ByteSource } from '../io/lines.ts';
import { openSlices, type Slices } from '../io/slices.ts';
import type { RawRecord } from './records.ts';

/** A gzipped .parquet file has to fit into memory. */
const MAX_WHOLE = 2 ** 31 - 1;

/** The rows of a .parquet file, a row group at a time. @throws DATA_PARQUET, FILE_NOT_FOUND, FILE_UNREADABLE */
export async function* parquet(source: ByteSource, path: string): AsyncGenerator<RawRecord> {
  const file = await openParquet(source, path);
  try {
    const metadata = await parquetMetadataAsync(file);
    let line = 1;
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      for (const row of rows) yield { line: line++, value: plain(row) };
      rowStart = rowEnd;
    }
  } catch (error) {
    if (error instanceof TunesmithError) throw error;
    const why = error instanceof Error ? error.message.replace(/\.$/, '') : String(error);
    throw new TunesmithError('DATA_PARQUET', { message: `${why}.`, file: path, cause: error });
  } finally {
    await file.close();
  }
}

/** Reads the bytes once for the digest; from a plain file, parts of it again when they are needed. */
async function openParquet(source: ByteSource, path: string): Promise<Slices> {
  const isPacked = path.toLowerCase().endsWith('.gz');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source.chunks) {
    if (!isPacked) continue;
    size += chunk.length;
    if (size > MAX_WHOLE) {
      const message = 'unpacks to more than 2 GiB.';
      throw new TunesmithError('FILE_UNREADABLE', { message, file: path, fix: 'unpack it first.' });
    }
    chunks.push(chunk);
  }
  if (!isPacked) return openSlices(path);
  const whole = new Uint8Array(Buffer.concat(chunks, size)).buffer;
  return { byteLength: size, slice: async (start, end) => whole.slice(start, end), close: async () => {} };
}

/** 64-bit integers become numbers, typed arrays plain ones. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number | bigint>, Number);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    return mapValues(value as Record<string, unknown>, plain);
  }
  return value;
}

/** A record with each of its values replaced. */
export function mapValues<V>(
  record: Readonly<Record<string, V>>,
  map: (value: V, key: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}
