import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredTensor } from '../../src/io/stored.ts';
import { real } from './values.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-stored-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Half-precision bit patterns of 2^-6, 2^-4 and -0.5. */
const [SCALE_8, SCALE_4, MINIMUM_4] = [0x2400, 0x2c00, 0xb800];

/** A matrix in a file of blocks of 32 values: `Q8_0` (half scale, 32 codes) or `Q4_1` (half scale and minimum, 16 bytes of codes). */
export function storedMatrix(type: 'Q8_0' | 'Q4_1', shape: readonly [number, number], seed: number): StoredTensor {
  const blocks = (shape[0] * shape[1]) / 32;
  const head = type === 'Q8_0' ? [SCALE_8] : [SCALE_4, MINIMUM_4];
  const size = 2 * head.length + (type === 'Q8_0' ? 32 : 16);
  const data = Uint8Array.from(real([blocks * size], 0, 256, seed).data, Math.floor);
  const view = new DataView(data.buffer);
  for (let b = 0; b < blocks; b++) {
    for (const [i, half] of head.entries()) view.setUint16(b * size + 2 * i, half, true);
  }
  const path = join(folder, `${type}-${seed}`);
  writeFileSync(path, data);
  return { name: `${type}-${seed}`, type, shape, path, offset: 0, bytes: data.length };
}
