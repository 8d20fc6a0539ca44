import type { Driver } from '../host.ts';
import { openCDriver } from './c-driver.ts';
import { type OrtOptions, openOrtDriver } from './driver.ts';

/** Opens the driver that the options name, or the fastest that works here. */
export async function openDriver(options: OrtOptions): Promise<Driver> {
  if (options.driver === 'binding') return openOrtDriver(options);
  const direct = await openCDriver(options);
  if (direct !== undefined) return direct;
  if (options.driver === 'c-api') throw new Error('internal: the C API of ONNX Runtime cannot be reached');
  return openOrtDriver(options);
}
