import { isAbsolute, join } from 'node:path';
import { type FileToWrite, type FileWeight, modelFiles, type WeightForm } from '../engine/index.ts';
import { fileExists, makeFolder, readJson } from '../io/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { readStoredRows } from '../io/read-stored.ts';
import { writeStreamed } from '../io/write-streamed.ts';
import { linearModules, outerTensors } from '../model/architectures.ts';
import { layerWeightNames } from '../model/base.ts';
import type { ModelConfig } from '../model/config.ts';
import { classifierConfig } from '../model/folder.ts';
import { layerTensor } from '../model/names.ts';
import { rotationTables } from '../model/rope.ts';
import { folderText } from '../model/source.ts';
import { openText } from '../text/index.ts';
import { exportedTemplate, stopsOf, writeCompanions, writeJson } from './companions.ts';
import type { MergedModel } from './merge.ts';
import { classifierProgram, decoderProgram, type OpenProgram } from './program.ts';
import type { ExportedClassifier, ExportJob, Fallback, Writer } from './types.ts';

/** How the kinds of numbers are called in transformers.js, what its file names end in, and how matrices lie in them. */
const KINDS = {
  f32: { dtype: 'fp32', suffix: '', matrices: 'F32', embedding: 'F32' },
  f16: { dtype: 'fp16', suffix: '_fp16', matrices: 'F16', embedding: 'F16' },
  q8: { dtype: 'q8', suffix: '_quantized', matrices: 'Q8_0', embedding: 'Q8_0' },
  // Of the embedding, which is the head too in small models, 4 bits would leave too little.
  q4: { dtype: 'q4', suffix: '_q4', matrices: 'Q4_0', embedding: 'Q8_0' },
} as const satisfies Readonly<
  Record<string, { dtype: string; suffix: string; matrices: WeightForm; embedding: WeightForm }>
>;

type Kind = keyof typeof KINDS;

/** A folder that transformers.js runs: the decoder as a program with its merged weights, configuration, tokenizer and chat template. */
export const transformersJsWriter: Writer = {
  plan(job) {
    const { files, fallbacks } = programFiles(job);
    return { bytes: files.reduce((sum, file) => sum + file.bytes, 0), fallbacks };
  },
  async write(job, folder, onBytes) {
    const { files } = programFiles(job);
    writeCompanions(folder, job, 'F32');
    writeSettings(folder, job, files);
    makeFolder(join(folder, 'onnx'));
    for (const file of files) await writeStreamed(join(folder, 'onnx', file.name), file.pieces(), onBytes);
  },
  readBack(job, folder, now) {
    const text = folderText(folder);
    const path = join(folder, 'onnx', fileName(job));
    return { model: { kind: 'program', path }, tools: text && openText(text, { now }) };
  },
  next: (job, folder) =>
    `pipeline('${taskOf(job)}', ${JSON.stringify(localPath(folder))}, ${options(job)}) in transformers.js runs it.`,
};

/** A path that is not taken for the name of a repository. */
function localPath(folder: string): string {
  return isAbsolute(folder) || folder.startsWith('.') ? folder : `./${folder}`;
}

function taskOf({ classifier }: ExportJob): string {
  return classifier === undefined ? 'text-generation' : 'text-classification';
}

function options(job: ExportJob): string {
  return `{ dtype: '${KINDS[kindOf(job)].dtype}' }`;
}

function kindOf({ quant }: ExportJob): Kind {
  const known = (Object.keys(KINDS) as Kind[]).find((own) => own === quant);
  if (known === undefined) throw new Error(`internal: transformers.js has no kind ${quant}`);
  return known;
}

function fileName(job: ExportJob): string {
  return `model${KINDS[kindOf(job)].suffix}.onnx`;
}

/** The files of the program, and what could not have the form that was asked for. */
function programFiles(job: ExportJob): { readonly files: readonly FileToWrite[]; readonly fallbacks: Fallback[] } {
  const { config } = job.source;
  const { classifier } = job;
  const program =
    classifier === undefined ? decoderProgram(config) : classifierProgram(config, classifier.labels.length);
  const fallbacks: Fallback[] = [];
  const weights = programWeights(program, job.merged, kindOf(job), (fallback) => fallbacks.push(fallback));
  if (classifier !== undefined) weights.set('score', scoreWeight(classifier));
  return { files: modelFiles(program.graph, { name: fileName(job), axes: program.axes, weights }), fallbacks };
}

/** The weights of a program by the names of its inputs. */
function programWeights(
  { graph }: OpenProgram,
  merged: MergedModel,
  kind: Kind,
  onFallback: (fallback: Fallback) => void,
): Map<string, FileWeight> {
  const { config } = merged.source;
  const names = weightNames(config);
  const tables = rotationTables(
    config,
    Int32Array.from({ length: config.maxPositions }, (_, i) => i),
  );
  const forms = matrixForms(config, kind);
  const weights = new Map<string, FileWeight>();
  for (const input of Object.keys(graph.inputs)) {
    const table = tables[input];
    const name = names.get(input);
    if (table !== undefined) {
      const width = table.shape[1]!;
      const data = table.data as Float32Array;
      const rows = (first: number, count: number) => data.subarray(first * width, (first + count) * width);
      weights.set(input, { shape: table.shape, form: 'F32', rows });
    } else if (name !== undefined) {
      const shape = merged.shapes.get(name)!;
      const wanted = forms.get(input) ?? 'F32';
      const form = wanted.startsWith('Q') && shape.at(-1)! % 32 !== 0 ? 'F32' : wanted;
      if (form !== wanted) onFallback({ tensor: name, wanted, got: form });
      weights.set(input, { shape, form, rows: (first, count) => merged.rows(name, first, count) });
    }
  }
  return weights;
}

/** The head with the temperature in it, so that the softmax of its logits is calibrated. */
function scoreWeight({ score, temperature }: ExportedClassifier): FileWeight {
  const rows = (first: number, count: number) =>
    readStoredRows(score, first, count).map((value) => value / temperature);
  return { shape: score.shape, form: 'F32', rows };
}

/** Hugging Face names by the names that programs use. */
function weightNames(config: ModelConfig): Map<string, string> {
  const names = new Map<string, string>(outerTensors(config).map(({ name, hf }) => [name, hf]));
  for (let layer = 0; layer < config.layers; layer++) {
    for (const name of layerWeightNames(config, layer)) {
      names.set(`layers.${layer}.${name}`, layerTensor(config, layer, name));
    }
  }
  return names;
}

/** Forms of what is read as a matrix: linear modules, embedding and head. */
function matrixForms(config: ModelConfig, kind: Kind): Map<string, WeightForm> {
  const { matrices, embedding } = KINDS[kind];
  const forms = new Map<string, WeightForm>([
    ['embed', embedding],
    ['head', embedding],
  ]);
  for (let layer = 0; layer < config.layers; layer++) {
    for (const { module } of linearModules(config, layer)) forms.set(`layers.${layer}.${module}.weight`, matrices);
  }
  return forms;
}

/** What transformers.js reads of the settings beyond what transformers does: which file it is, what ends an answer, the template among the tokenizer's. */
function writeSettings(folder: string, job: ExportJob, files: readonly FileToWrite[]): void {
  const { dtype } = KINDS[kindOf(job)];
  fillTokenizer(join(folder, 'tokenizer.json'));
  const beside = files.length === 1 ? {} : { use_external_data_format: { [files[0]!.name]: files.length - 1 } };
  addTo(join(folder, 'config.json'), { 'transformers.js_config': { dtype, ...beside } });
  if (job.classifier === undefined) writeTextSettings(folder, job);
  else writeClassifierSettings(folder, job, job.classifier);
}

function writeTextSettings(folder: string, job: ExportJob): void {
  const stops = [...new Set(stopsOf(job))];
  if (stops.length > 0) addTo(join(folder, 'generation_config.json'), { eos_token_id: stops });
  const template = exportedTemplate(job);
  if (template !== undefined) addTo(join(folder, 'tokenizer_config.json'), { chat_template: template });
}

/**
 * transformers.js knows sequence classification of encoders only, by their model_type; it reads nothing else of it than that a text goes in and logits come
 * out, so the name of one stands there. It pads the texts of a batch, and cuts what is too long.
 */
function writeClassifierSettings(folder: string, { source, tools }: ExportJob, classifier: ExportedClassifier): void {
  const file = join(folder, 'config.json');
  const given = readJson(file);
  const json = classifierConfig(isRecord(given) ? given : {}, source.config, classifier);
  writeJson(file, { ...json, model_type: 'bert', base_model_type: source.config.modelType });
  const { tokenizer } = tools;
  const pad = tokenizer?.padId ?? tokenizer?.eosId ?? 0;
  addTo(join(folder, 'tokenizer_config.json'), {
    pad_token: tokenizer?.idToToken(pad),
    model_max_length: source.config.maxPositions,
  });
}

/** Steps of a tokenizer that its file may leave out, but not for transformers.js. */
const STEPS = ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'];

function fillTokenizer(file: string): void {
  const given = fileExists(file) ? readJson(file) : undefined;
  if (!isRecord(given) || STEPS.every((step) => step in given)) return;
  writeJson(file, { ...Object.fromEntries(STEPS.map((step) => [step, null])), ...given });
}

/** Sets keys of a JSON file, which is made if it is not there. */
function addTo(file: string, values: Readonly<Record<string, unknown>>): void {
  const given = fileExists(file) ? readJson(file) : {};
  writeJson(file, { ...(isRecord(given) ? given : {}), ...values });
}
