import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { storedBytes } from '../io/blocks.ts';
import { ggufPieces } from '../io/gguf-write.ts';
import { quantize } from '../io/quantize.ts';
import type { TensorToWrite } from '../io/tensor-to-write.ts';
import { writeStreamed } from '../io/write-streamed.ts';
import { architectureOf } from '../model/architectures.ts';
import type { ModelConfig } from '../model/config.ts';
import { ggufName } from '../model/names.ts';
import { type ModelSource, openModelSource } from '../model/source.ts';
import { openText } from '../text/index.ts';
import { exportedTemplate } from './companions.ts';
import { architectureFields, type GgufFields, ropeFactors, u32, unsaid } from './gguf-architecture.ts';
import { tokenizerFields } from './gguf-tokenizer.ts';
import { type ChosenType, chooseType, FILE_TYPES, type GgufQuant } from './gguf-types.ts';
import { encodedPieces } from './pieces.ts';
import type { ExportJob, Fallback, Writer } from './types.ts';

/** Merged weights, tokenizer and chat template in one GGUF file. */
export const ggufWriter: Writer = {
  plan(job) {
    const tensors = namedTensors(job);
    const sizes = tensors.map(({ chosen, shape }) => storedBytes(chosen.type, shape) ?? 0);
    const fallbacks = tensors.flatMap(({ chosen }): Fallback[] => (chosen.fallback ? [chosen.fallback] : []));
    // The vocabulary with its merges takes some 60 bytes a token.
    const vocabulary = 60 * job.source.config.vocabSize;
    return { bytes: sizes.reduce((a, b) => a + b, vocabulary), fallbacks };
  },
  async write(job, folder, onBytes) {
    const tensors = [...ropeFactors(job.source.config), ...ggufTensors(job)];
    const file = { metadata: modelFields(job), tensors };
    await writeStreamed(join(folder, ggufFileName(job)), ggufPieces(file), onBytes);
  },
  readBack: (job, folder, now) => {
    const source = openModelSource(join(folder, ggufFileName(job)));
    return {
      model: { kind: 'weights', source, adapter: undefined },
      tools: source.text && openText(source.text, { now }),
    };
  },
  next: (job, folder) => `llama-cli -m ${join(folder, ggufFileName(job))} in llama.cpp runs it.`,
};

/** `ada-q8_0.gguf` */
export function ggufFileName(job: ExportJob): string {
  return `${job.name}-${job.quant}.gguf`;
}

/** @throws EXPORT_UNSUPPORTED for a model of which GGUF, or llama.cpp, cannot say all */
export function requireGgufForm({ config, path }: ModelSource): void {
  const what = unsaid(config, path);
  if (what === undefined) return;
  throw new TunesmithError('EXPORT_UNSUPPORTED', {
    file: path,
    message: `is a ${config.modelType} model with a ${what} that a GGUF file for llama.cpp cannot say.`,
    fix: 'export it with --to safetensors',
  });
}

/** The heads by which a tensor's rows are interleaved, if they are. */
export function interleavedHeads(config: ModelConfig, name: string): number | undefined {
  if (!architectureOf(config).gguf.isPermuted) return undefined;
  if (/\.q_proj\.(weight|bias)$/.test(name)) return config.heads;
  return /\.k_proj\.(weight|bias)$/.test(name) ? config.kvHeads : undefined;
}

interface NamedTensor {
  readonly name: string;
  /** Hugging Face names; several for the experts of a layer, which stand one after the other. */
  readonly parts: readonly string[];
  readonly shape: readonly number[];
  readonly chosen: ChosenType;
}

function namedTensors(job: ExportJob): NamedTensor[] {
  const { config } = job.source;
  requireGgufForm(job.source);
  const mixture = { ...config, quant: ggufQuant(job), experts: config.experts?.count ?? 1 };
  const parts = new Map<string, string[]>();
  for (const hf of job.merged.shapes.keys()) {
    const name = ggufName(config, hf.replace(/\.experts\.\d+\./, '.experts.*.'));
    if (name === undefined) throw new Error(`internal: GGUF has no name for ${hf}`);
    parts.set(name, [...(parts.get(name) ?? []), hf]);
  }
  return [...parts].map(([name, own]) => {
    const one = job.merged.shapes.get(own[0] ?? '') ?? [];
    const shape = name.includes('_exps.') ? [own.length, ...one] : one;
    return { name, parts: own, shape, chosen: chooseType(name, shape, mixture) };
  });
}

function ggufTensors(job: ExportJob): TensorToWrite[] {
  const { config } = job.source;
  const { normOffset } = architectureOf(config).gguf;
  return namedTensors(job).map(({ parts, name, shape, chosen: { type } }) => ({
    name,
    type,
    shape,
    *data() {
      const offset = /norm\.weight$/.test(name) ? normOffset : 0;
      const encode = (x: Float32Array) => quantize(type, offset === 0 ? x : x.map((value) => value + offset));
      for (const hf of parts) yield* encodedPieces(job.merged, hf, encode, interleavedHeads(config, hf));
    },
  }));
}

function ggufQuant({ quant }: ExportJob): GgufQuant {
  const known = (Object.keys(FILE_TYPES) as GgufQuant[]).find((own) => own === quant);
  if (known === undefined) throw new Error(`internal: GGUF has no kind ${quant}`);
  return known;
}

/** `general.*`, the architecture's keys, the tokenizer and the chat template. */
function modelFields(job: ExportJob): GgufFields {
  const template = exportedTemplate(job);
  const text = (value: string) => ({ type: 'string', value }) as const;
  const quant = ggufQuant(job);
  return {
    'general.architecture': text(architectureOf(job.source.config).gguf.architecture),
    'general.type': text('model'),
    'general.name': text(job.name),
    ...(job.licence === undefined ? {} : { 'general.license': text(job.licence.toLowerCase()) }),
    'general.file_type': u32(FILE_TYPES[quant]),
    'general.quantization_version': u32(2),
    ...architectureFields(job.source.config),
    ...tokenizerFields(job),
    ...(template === undefined ? {} : { 'tokenizer.chat_template': text(template) }),
  };
}
