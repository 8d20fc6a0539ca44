import { ggufWriter } from './gguf.ts';
import { ggufAdapterWriter } from './gguf-adapter.ts';
import { ollamaWriter } from './ollama.ts';
import { peftWriter } from './peft.ts';
import { safetensorsWriter } from './safetensors.ts';
import { transformersJsWriter } from './transformers-js.ts';
import type { ExportTarget, Writer } from './types.ts';

/** How each target is written. */
export const WRITERS: Readonly<Record<ExportTarget, Writer>> = {
  gguf: ggufWriter,
  'gguf-adapter': ggufAdapterWriter,
  ollama: ollamaWriter,
  onnx: transformersJsWriter,
  peft: peftWriter,
  safetensors: safetensorsWriter,
};
