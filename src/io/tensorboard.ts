import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from './atomic.ts';
import { fileExists, writeFully } from './files.ts';
import { writeError } from './fs-errors.ts';

/** An open TensorBoard event file. */
export interface TensorboardWriter {
  /** Writes one point of the curve `tag`; it reaches the operating system at once. @throws DISK_FULL, FILE_WRITE_FAILED */
  scalar(tag: string, step: number, value: number): void;
  close(): void;
}

/** How {@link openTensorboard} sets out. */
export interface TensorboardOptions {
  /** The time, in seconds since 1970; asked for at every record. */
  readonly now: () => number;
  /** For a resumed run: its first step. TensorBoard then drops the points of an earlier file from this step on. */
  readonly resumeStep?: number;
}

/**
 * Starts an event file for TensorBoard in `folder` (made if need be): TFRecord frames around `Event` protobufs, scalars only.
 *
 * @throws DISK_FULL, FILE_WRITE_FAILED
 */
export function openTensorboard(folder: string, { now, resumeStep }: TensorboardOptions): TensorboardWriter {
  makeFolder(folder);
  const start = now();
  const stem = `events.out.tfevents.${Math.floor(start)}.tunesmith`;
  let path = join(folder, stem);
  for (let n = 1; fileExists(path); n++) path = join(folder, `${stem}.${n}`);
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx');
  } catch (error) {
    throw writeError(error, path);
  }
  const write = (time: number, ...fields: readonly Buffer[]): void => {
    try {
      writeFully(descriptor, tfRecord(Buffer.concat([double(1, time), ...fields])));
    } catch (error) {
      throw writeError(error, path);
    }
  };
  write(start, bytes(3, Buffer.from('brain.Event:2')));
  if (resumeStep !== undefined) write(start, varint(2, resumeStep), bytes(7, varint(1, 1))); // SessionLog.START
  return {
    scalar: (tag, step, value) => {
      const point = Buffer.concat([bytes(1, Buffer.from(tag, 'utf8')), float(2, value)]);
      write(now(), varint(2, step), bytes(5, bytes(1, point)));
    },
    close: () => closeSync(descriptor),
  };
}

/** Length, its checksum, the data, its checksum: the frame that TensorFlow puts around a record. */
function tfRecord(data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(data));
  return Buffer.concat([head, data, tail]);
}

let crcTable: Uint32Array | undefined;

function crcTableOf(): Uint32Array {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let c = byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    return c;
  });
  return crcTable;
}

/** CRC-32C (Castagnoli) of bytes. */
export function crc32c(data: Uint8Array): number {
  const table = crcTableOf();
  let crc = 0xffffffff;
  for (const byte of data) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** As TFRecord stores it: rotated and shifted, so that checksums of data that hold checksums stay good. */
function maskedCrc32c(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varintBytes(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return Buffer.from([...out, rest]);
}

function varint(field: number, value: number): Buffer {
  return Buffer.concat([varintBytes(field * 8), varintBytes(value)]);
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([varintBytes(field * 8 + 2), varintBytes(value.length), value]);
}

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(9);
  out[0] = field * 8 + 1;
  out.writeDoubleLE(value, 1);
  return out;
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(5);
  out[0] = field * 8 + 5;
  out.writeFloatLE(value, 1);
  return out;
}
