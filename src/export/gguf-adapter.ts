import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { readGguf } from '../io/gguf.ts';
import { ggufPieces } from '../io/gguf-write.ts';
import { floatsToBytes } from '../io/half.ts';
import { readStored } from '../io/read-stored.ts';
import type { StoredTensor } from '../io/stored.ts';
import type { TensorToWrite } from '../io/tensor-to-write.ts';
import { writeStreamed } from '../io/write-streamed.ts';
import { architectureOf } from '../model/architectures.ts';
import { ggufName } from '../model/names.ts';
import type { PeftAdapter } from '../model/peft.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { ggufFileName, interleavedHeads, requireGgufForm } from './gguf.ts';
import type { GgufFields } from './gguf-architecture.ts';
import { type LoraFactors, loraFactors } from './merge.ts';
import { requireAdapter } from './peft.ts';
import { interleaved } from './pieces.ts';
import { floatType } from './safetensors.ts';
import type { ExportJob, Writer } from './types.ts';

/**
 * An adapter for llama.cpp, to go over the GGUF file of its base. The format has one alpha for all modules and knows no other scaling, so each
 * module's scale (alpha / rank, alpha / sqrt(rank), patterns) goes into B, and alpha is 0, which stands for a factor of 1.
 */
export const ggufAdapterWriter: Writer = {
  plan(job) {
    const tensors = adapterTensors(job);
    const each = floatType(job) === 'F32' ? 4 : 2;
    return { bytes: tensors.reduce((sum, { shape }) => sum + each * sizeOf(shape), 4096), fallbacks: [] };
  },
  async write(job, folder, onBytes) {
    const file = { metadata: adapterFields(job), tensors: adapterTensors(job) };
    await writeStreamed(join(folder, ggufFileName(job)), ggufPieces(file), onBytes);
  },
  readBack: (job, folder) => ({
    model: { kind: 'weights', source: job.source, adapter: readAdapter(job, join(folder, ggufFileName(job))) },
    tools: undefined,
  }),
  next: (job, folder) => `llama-cli -m BASE.gguf --lora ${join(folder, ggufFileName(job))} in llama.cpp runs it.`,
};

function adapterFields(job: ExportJob): GgufFields {
  const text = (value: string) => ({ type: 'string', value }) as const;
  return {
    'general.architecture': text(architectureOf(job.source.config).gguf.architecture),
    'general.type': text('adapter'),
    'general.name': text(job.name),
    'adapter.type': text('lora'),
    'adapter.lora.alpha': { type: 'f32', value: 0 },
    ...(job.adapter?.baseHash === undefined ? {} : { 'tunesmith.base_sha256': text(job.adapter.baseHash) }),
  };
}

/** @throws EXPORT_UNSUPPORTED for what the format cannot say */
function factorsOf(job: ExportJob): ReadonlyMap<string, LoraFactors> {
  const folder = requireAdapter(job, 'gguf-adapter');
  requireGgufForm(job.source);
  if (job.adapter === undefined) throw new Error('internal: an adapter folder without its adapter');
  const other = [...job.adapter.tensors.keys()].find((name) => !/\.lora_[AB]\.weight$/.test(name));
  if (other === undefined) return loraFactors(job.adapter);
  throw new TunesmithError('EXPORT_UNSUPPORTED', {
    file: folder,
    message: `holds ${other}, and a GGUF adapter can only say B A of plain LoRA.`,
    fix: 'export it merged, with --to gguf',
  });
}

function adapterTensors(job: ExportJob): TensorToWrite[] {
  const { config } = job.source;
  const type = floatType(job);
  return [...factorsOf(job)].flatMap(([hf, { a, b, scale }]): TensorToWrite[] => {
    const name = ggufName(config, hf);
    if (name === undefined) throw new Error(`internal: GGUF has no name for ${hf}`);
    const heads = interleavedHeads(config, hf);
    const scaledB = () => {
      const b_OR = readStored(b).map((value) => scale * value);
      const [out = 0, rank = 0] = b.shape;
      return heads === undefined ? b_OR : interleaved(b_OR, out / heads, rank);
    };
    return [
      { name: `${name}.lora_a`, type, shape: a.shape, data: () => floatsToBytes(readStored(a), type) },
      { name: `${name}.lora_b`, type, shape: b.shape, data: () => floatsToBytes(scaledB(), type) },
    ];
  });
}

/** The adapter in the file, its scales now all 1. */
function readAdapter(job: ExportJob, path: string): PeftAdapter {
  const { adapter, source } = job;
  if (adapter === undefined) throw new Error('internal: no adapter to compare with');
  const written = new Map(readGguf(path).tensors.map((tensor) => [tensor.name, tensor]));
  const tensors = new Map<string, StoredTensor>();
  for (const [hf, { a, b }] of loraFactors(adapter)) {
    const name = ggufName(source.config, hf);
    const [gotA, gotB] = [written.get(`${name}.lora_a`), written.get(`${name}.lora_b`)];
    if (gotA === undefined || gotB === undefined) throw new Error(`internal: ${name} was not written`);
    const heads = interleavedHeads(source.config, hf);
    tensors.set(a.name, gotA);
    tensors.set(b.name, heads === undefined ? gotB : { ...gotB, permutedHeads: heads });
  }
  const modules = adapter.spec.modules.map(
    (layer) => new Map([...layer].map(([module, lora]) => [module, { ...lora, scale: 1 }])),
  );
  return { ...adapter, spec: { ...adapter.spec, modules }, tensors };
}
