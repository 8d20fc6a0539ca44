import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { crc32c, openTensorboard } from './tensorboard.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-tensorboard-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Splits TFRecord frames and checks both checksums of each. */
function records(bytes: Buffer): Buffer[] {
  const unmask = (masked: number) => {
    const rotated = (masked - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(unmask(bytes.readUInt32LE(at + 8))).toBe(crc32c(bytes.subarray(at, at + 8)));
    expect(unmask(bytes.readUInt32LE(at + 12 + length))).toBe(crc32c(data));
    out.push(data);
    at += length + 16;
  }
  return out;
}

it('knows the check value of CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});

it('writes the version record and scalars, byte by byte as the protobufs say', () => {
  const writer = openTensorboard(join(folder, 'a', 'b'), { now: () => 1.5 });
  writer.scalar('loss', 300, 2);
  writer.close();
  const [name] = readdirSync(join(folder, 'a', 'b'));
  expect(name).toBe('events.out.tfevents.1.tunesmith');
  const time = '09000000000000f83f'; // field 1, double 1.5
  expect(records(readFileSync(join(folder, 'a', 'b', name!))).map((data) => data.toString('hex'))).toEqual([
    `${time}1a0d${Buffer.from('brain.Event:2').toString('hex')}`,
    // field 2, varint 300 · field 5, 13 bytes · field 1, 11 bytes · field 1, "loss" · field 2, float 2
    `${time}10ac022a0d0a0b0a046c6f73731500000040`,
  ]);
});

it('starts a new file when a run resumes, and says from which step', () => {
  openTensorboard(folder, { now: () => 1 }).close();
  openTensorboard(folder, { now: () => 1, resumeStep: 5 }).close();
  expect(readdirSync(folder)).toHaveLength(2);
  const [, start] = records(readFileSync(join(folder, 'events.out.tfevents.1.tunesmith.1')));
  expect(start!.subarray(9).toString('hex')).toBe('10053a020801');
});
