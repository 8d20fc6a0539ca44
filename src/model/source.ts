import { basename, join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import {
  fileExists,
  folderExists,
  openSafetensorsFolder,
  readGguf,
  readJson,
  readStored,
  readText,
  type StoredTensor,
  sha256,
  sha256File,
} from '../io/index.ts';
import type { TextFiles } from '../text/index.ts';
import type { Architecture } from './architecture.ts';
import { ggufArchitecture, type ModelConfig, parseGgufConfig, parseHfConfig } from './config.ts';
import { fromHfFolder } from './hf-layout.ts';
import { hfLayerName, layerTensor } from './names.ts';
import type { AdapterTask } from './peft.ts';
import { checkNoOthers, checkWeights } from './weights.ts';

/** A model on disk: configuration, where each weight lies, and what its tokenizer and chat template are made from. */
export interface ModelSource {
  /** Folder or .gguf file. */
  readonly path: string;
  readonly config: ModelConfig;
  /** By Hugging Face name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Undefined where the folder has no tokenizer. */
  readonly text: TextFiles | undefined;
  /** Files that hold the weights. */
  readonly weightFiles: readonly string[];
  /** Tokens that its files don't have: see {@link withAddedTokens}. */
  readonly added?: AddedTokens;
}

/** New tokens, whose ids follow one another. */
export interface AddedTokens {
  readonly first: number;
  readonly texts: readonly string[];
}

/** How transformers' classes for sequence classification end. */
export const CLASSIFIER_CLASS = 'ForSequenceClassification';

/**
 * Opens a model folder in Hugging Face layout or a GGUF file. Only headers are read.
 *
 * @param task what is wanted of it: a folder of a classifier (`...ForSequenceClassification`) has no head over the vocabulary
 * @throws CLASSIFIER_USE, FILE_NOT_FOUND, MODEL_CONFIG, MODEL_UNSUPPORTED, MODEL_WEIGHTS and the errors of the file formats
 */
export function openModelSource(path: string, task: AdapterTask = 'CAUSAL_LM'): ModelSource {
  if (folderExists(path)) return openFolder(path, task);
  if (!fileExists(path)) {
    throw new TunesmithError('FILE_NOT_FOUND', { file: path, message: 'is neither a model folder nor a .gguf file.' });
  }
  return openGguf(path);
}

function openFolder(folder: string, task: AdapterTask): ModelSource {
  const file = join(folder, 'config.json');
  const json = objectOf(readJson(file), file);
  const isClassifier = [json.architectures].flat().some((name) => String(name).endsWith(CLASSIFIER_CLASS));
  if (isClassifier && task !== 'SEQ_CLS') {
    throw new TunesmithError('CLASSIFIER_USE', {
      file: folder,
      message: 'gives labels or rewards, and writes no text.',
    });
  }
  const parsed = parseHfConfig(json, file);
  const config = isClassifier ? { ...parsed, tiedEmbeddings: true } : parsed;
  const { tensors } = openSafetensorsFolder(folder);
  const byName = fromHfFolder(config, tensors);
  checkWeights(config, byName, folder);
  checkNoOthers(config, byName.keys(), folder);
  return {
    path: folder,
    config: { ...config, eosIds: eosIdsOf(folder, config.eosIds) },
    tensors: byName,
    text: folderText(folder),
    weightFiles: [...new Set(tensors.map((t) => t.path))].sort(),
  };
}

/** generation_config.json may name more tokens that end an answer than config.json. */
function eosIdsOf(folder: string, fromConfig: readonly number[]): readonly number[] {
  const file = join(folder, 'generation_config.json');
  if (!fileExists(file)) return fromConfig;
  const ids = [objectOf(readJson(file), file).eos_token_id].flat().filter((id): id is number => typeof id === 'number');
  return [...new Set([...fromConfig, ...ids])];
}

/** Raw material of the tokenizer and the chat template of a folder in Hugging Face layout. */
export function folderText(folder: string): TextFiles | undefined {
  const tokenizer = join(folder, 'tokenizer.json');
  if (!fileExists(tokenizer)) return undefined;
  const configFile = join(folder, 'tokenizer_config.json');
  const tokenizerConfig = fileExists(configFile) ? objectOf(readJson(configFile), configFile) : {};
  const templateFile = join(folder, 'chat_template.jinja');
  const chatTemplate = fileExists(templateFile) ? readText(templateFile) : undefined;
  return { kind: 'hf', tokenizerJson: readJson(tokenizer), tokenizerConfig, chatTemplate };
}

function openGguf(path: string): ModelSource {
  const { metadata, tensors } = readGguf(path);
  const architecture = ggufArchitecture(metadata, path);
  const byGguf = new Map(tensors.map((t) => [t.name, t]));
  const ropeFactors = tensors.find((t) => ROPE_FACTORS.includes(t.name));
  const facts = {
    tiedEmbeddings: !byGguf.has('output.weight'),
    vocabSize: byGguf.get('token_embd.weight')?.shape[0] ?? 0,
    ropeFactors: ropeFactors === undefined ? undefined : [...readStored(ropeFactors)],
    hasLongFactors: byGguf.has('rope_factors_long.weight'),
  };
  const config = parseGgufConfig(metadata, facts, path);
  const byName = new Map<string, StoredTensor>();
  for (const tensor of tensors) {
    if (!tensor.name.startsWith('blk.')) continue;
    const place = hfLayerName(architecture, tensor.name);
    if (place === undefined) {
      const message = `tensor ${tensor.name} has no place in a ${config.modelType} model here.`;
      throw new TunesmithError('MODEL_UNSUPPORTED', { file: path, message });
    }
    const layout = ggufLayout(architecture, config, place.name);
    for (const [i, part] of expertSlices(place.name, tensor).entries()) {
      byName.set(layerTensor(config, place.layer, place.name.replace('*', String(i))), { ...part, ...layout });
    }
  }
  for (const { hf, gguf } of architecture.outer(config)) {
    const tensor = byGguf.get(gguf);
    if (tensor !== undefined) byName.set(hf, { ...tensor, ...ggufLayout(architecture, config, hf) });
  }
  checkWeights(config, byName, path);
  checkNoOthers(config, byName.keys(), path);
  return { path, config, tensors: byName, text: { kind: 'gguf', metadata }, weightFiles: [path] };
}

/** Divisors of the rotation's frequencies: Llama 3.x, and LongRoPE for rows up to the length that the model first learned. */
const ROPE_FACTORS = ['rope_freqs.weight', 'rope_factors_short.weight'];

/** Each expert's own part of a tensor [experts, out, in]; the tensor itself where its name has no place for an expert. */
function expertSlices(name: string, tensor: StoredTensor): StoredTensor[] {
  if (!name.includes('*')) return [tensor];
  const [count, ...shape] = tensor.shape as [number, ...number[]];
  const bytes = tensor.bytes / count;
  return Array.from({ length: count }, (_, e) => ({ ...tensor, shape, bytes, offset: tensor.offset + e * bytes }));
}

/** What llama.cpp's converter did to a tensor, so that reading undoes it. */
function ggufLayout(
  { gguf }: Architecture,
  { heads, kvHeads }: ModelConfig,
  name: string,
): Pick<StoredTensor, 'permutedHeads' | 'added'> {
  if (gguf.normOffset !== 0 && /norm\.weight$/.test(name)) return { added: -gguf.normOffset };
  if (!gguf.isPermuted) return {};
  if (/\bq_proj\.(?:weight|bias)$/.test(name)) return { permutedHeads: heads };
  return /\bk_proj\.(?:weight|bias)$/.test(name) ? { permutedHeads: kvHeads } : {};
}

function objectOf(json: unknown, file: string): Readonly<Record<string, unknown>> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw new TunesmithError('MODEL_CONFIG', { file, message: 'is not a JSON object.' });
}

/** sha256 over the weight files, which an adapter carries so that it is never put on another base. */
export async function baseHash(source: ModelSource): Promise<string> {
  const hashes: string[] = [];
  for (const file of source.weightFiles) hashes.push(await sha256File(file));
  return hashes.length === 1 ? hashes[0]! : sha256(hashes.join('\n'));
}

/** Short name for messages and run names. */
export function sourceName(source: ModelSource): string {
  return basename(source.path).replace(/\.gguf$/, '');
}
