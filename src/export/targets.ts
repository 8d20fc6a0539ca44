import { peftWriter } from './peft.ts';
import { safetensorsWriter } from './safetensors.ts';
import type { ExportTarget, Writer } from './types.ts';

/** How each target is written. */
export const WRITERS: Readonly<Record<ExportTarget, Writer>> = {
  peft: peftWriter,
  safetensors: safetensorsWriter,
};
