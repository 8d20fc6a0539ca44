import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Engine, openOrt } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { openTextOf, restOf } from '../evaluate/open.ts';
import type { ModelRequest } from '../evaluate/types.ts';
import {
  fileExists,
  fileSize,
  folderExists,
  freeDiskBytes,
  listFolder,
  makeFolder,
  sha256File,
  writeAtomic,
  writeFolderAtomic,
} from '../io/index.ts';
import { version } from '../io/version.ts';
import { openPeft, type PeftAdapter } from '../model/peft.ts';
import { baseHash, type ModelSource } from '../model/source.ts';
import { withStrength } from '../model/strength.ts';
import { hasClassifier, readClassifier } from '../train/classify/file.ts';
import { SCORE_TENSOR } from '../train/classify/head.ts';
import { requireSameBase } from '../train/run.ts';
import { modelCard, type Provenance, provenanceOf } from './card.ts';
import { compareAnswers, worstTensor } from './check.ts';
import { compareClassifiers } from './classifier-check.ts';
import { writeJson } from './companions.ts';
import { type Difference, isWithin, LIMITS, type Limit } from './compare.ts';
import { goldenPrompts } from './golden.ts';
import { openMerged } from './merge.ts';
import { WRITERS } from './targets.ts';
import {
  EXPORT_TARGETS,
  type ExportedClassifier,
  type ExportJob,
  type ExportTarget,
  type Fallback,
  type Quant,
  type ReadBack,
} from './types.ts';

/** What is exported, to what, and where it goes. */
export interface ExportRequest {
  readonly model: ModelRequest;
  readonly to: ExportTarget;
  /** Undefined takes the target's default. */
  readonly quant: Quant | undefined;
  /** A folder that is new or empty. */
  readonly out: string;
  /** Short name of the model. */
  readonly name: string;
  /** Bytes of one safetensors file, at most. */
  readonly shardBytes: number;
  /** Losses on the reporting rows of the run, nats per token, where there are any. */
  readonly report?: { readonly before: number; readonly after: number; readonly tokens: number } | undefined;
}

/** A file of an export. */
export interface ExportedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What `certificate.json` says: that the files give what was trained, and how exactly. */
export interface Certificate {
  readonly certificate: 1;
  readonly tunesmith: string;
  readonly to: ExportTarget;
  readonly quant: Quant | null;
  readonly base: { readonly model: string | null; readonly sha256: string };
  /** sha256 of the adapter's weights. */
  readonly adapter: string | null;
  readonly prompts: number;
  /** Of the golden prompts, by the exported tokenizer and template; null where none was exported. */
  readonly tokenIds: 'equal' | null;
  /** Against base and adapter: the merged weights before rounding, and the files as they are read back. */
  readonly merged: Difference;
  readonly exported: Difference;
  readonly limit: Limit;
  readonly fallbacks: readonly Fallback[];
  readonly files: readonly ExportedFile[];
}

/** How an export goes. */
export type ExportEvent =
  | {
      readonly type: 'plan';
      readonly to: ExportTarget;
      readonly quant: Quant | null;
      readonly out: string;
      readonly bytes: number;
      readonly fallbacks: readonly Fallback[];
    }
  | { readonly type: 'progress'; readonly stage: 'write' | 'check'; readonly done: number; readonly total: number }
  | {
      readonly type: 'done';
      readonly out: string;
      readonly next: string;
      readonly certificate: Certificate;
    };

/** What watches an export. */
export interface ExportWatch {
  readonly signal: AbortSignal;
  readonly onEvent: (event: ExportEvent) => void;
}

/** Steps of the check: base and adapter, merged, read back, hashes. */
const CHECKS = 4;

/**
 * Exports a model into a folder, whole or not at all, and proves it: golden prompts go through the model that was trained, through the merged weights and
 * through the files as they are read back, and the folder gets its name only if they agree.
 *
 * @throws EXPORT_FOLDER, EXPORT_UNSUPPORTED, EXPORT_DIVERGED, ADAPTER_MISMATCH, DISK_FULL, and the errors of models and files
 */
export async function exportModel(request: ExportRequest, { signal, onEvent }: ExportWatch): Promise<Certificate> {
  const out = resolve(request.out);
  requireFree(out);
  const prepared = await prepare(request);
  const { job } = prepared;
  const writer = WRITERS[request.to];
  const { bytes, fallbacks } = writer.plan(job);
  requireDisk(out, bytes);
  onEvent({ type: 'plan', to: request.to, quant: job.quant ?? null, out: request.out, bytes, fallbacks });
  makeFolder(dirname(out));
  let certificate: Certificate | undefined;
  await writeFolderAtomic(out, async (folder) => {
    let done = 0;
    await writer.write(job, folder, (count) => {
      signal.throwIfAborted();
      done += count;
      onEvent({ type: 'progress', stage: 'write', done, total: Math.max(bytes, done) });
    });
    signal.throwIfAborted();
    const back = writer.readBack(job, folder, prepared.now);
    const checked = await check(request, prepared, back, { signal, onEvent });
    const facts = { ...checked, fallbacks };
    const card = modelCard({ ...prepared, to: request.to, report: request.report, ...checked, fallbacks });
    writeAtomic(join(folder, 'README.md'), card);
    certificate = { ...certified(request, prepared, facts), files: await hashes(folder) };
    writeJson(join(folder, 'certificate.json'), certificate);
    signal.throwIfAborted();
  });
  if (certificate === undefined) throw new Error('internal: an export without a certificate');
  onEvent({ type: 'done', out: request.out, next: writer.next(job, request.out), certificate });
  return certificate;
}

/** Everything that an export is made of, opened and checked. */
interface Prepared {
  readonly job: ExportJob;
  readonly provenance: Provenance;
  readonly baseSha256: string;
  readonly adapterSha256: string | undefined;
  /** The clock of templates. */
  readonly now: Date;
}

async function prepare(request: ExportRequest): Promise<Prepared> {
  const { model, name, shardBytes } = request;
  const isClassifier = request.to === 'onnx' && hasClassifier(model.adapter ?? model.path);
  const task = isClassifier ? 'SEQ_CLS' : 'CAUSAL_LM';
  const opened = openTextOf(model, {}, task);
  const { source, text, system } = opened;
  const { strength = 1 } = model;
  const adapter =
    model.adapter === undefined
      ? undefined
      : withStrength(openPeft(model.adapter, source.config, task), strength, model.adapter);
  const sha256 = await baseHash(source);
  requireSameBase(adapter?.baseHash, sha256, source.path);
  const provenance = provenanceOf(model, source);
  const chats = text.format === 'chat' && system !== undefined;
  const weights = model.adapter && join(model.adapter, 'adapter_model.safetensors');
  return {
    job: {
      source,
      adapter,
      merged: openMerged(source, adapter),
      classifier: isClassifier ? classifierOf(model, source, adapter) : undefined,
      tools: text.tokenizer === undefined ? {} : { tokenizer: text.tokenizer, template: text.template },
      system: chats ? system : undefined,
      quant: request.quant ?? EXPORT_TARGETS[request.to][0],
      name,
      licence: provenance.licence,
      hubId: model.hubId,
      adapterFolder: model.adapter,
      strength,
      shardBytes,
    },
    provenance,
    // A run of all weights has become a model of its own, which is not what it began with.
    baseSha256: provenance.baseSha256 ?? sha256,
    adapterSha256: weights && (await sha256File(weights)),
    now: provenance.clock,
  };
}

/** @throws CLASSIFIER_FILE */
function classifierOf(
  { adapter: folder, path }: ModelRequest,
  source: ModelSource,
  adapter: PeftAdapter | undefined,
): ExportedClassifier {
  const file = folder ?? path;
  const { kind, labels, calibration } = readClassifier(file);
  const score = adapter?.score ?? source.tensors.get(SCORE_TENSOR);
  if (score?.shape[0] !== labels.length) {
    const message = `names ${labels.length} labels, and its weights hold no head for as many.`;
    throw new TunesmithError('CLASSIFIER_FILE', { file, message });
  }
  return { kind, labels, temperature: calibration?.temperature ?? 1, score };
}

/** @throws EXPORT_FOLDER */
function requireFree(out: string): void {
  const isEmpty = folderExists(out) && listFolder(out).length === 0;
  if (isEmpty || !(folderExists(out) || fileExists(out))) return;
  const message = fileExists(out) ? 'is a file.' : 'is not empty.';
  throw new TunesmithError('EXPORT_FOLDER', { message, file: out });
}

/** @throws DISK_FULL */
function requireDisk(out: string, bytes: number): void {
  const free = freeDiskBytes(dirname(out));
  // Tokenizer, card and certificate, at most.
  const needed = bytes + 64e6;
  if (needed <= free) return;
  const mb = (n: number) => `${Math.ceil(n / 1e6)} MB`;
  throw new TunesmithError('DISK_FULL', {
    file: dirname(out),
    message: `the export takes ${mb(needed)}, and ${mb(free)} are free.`,
  });
}

interface Checked {
  readonly prompts: number;
  readonly tokenIds: 'equal' | null;
  readonly merged: Difference;
  readonly exported: Difference;
  readonly limit: Limit;
}

async function check(
  request: ExportRequest,
  { job }: Prepared,
  back: ReadBack,
  { signal, onEvent }: ExportWatch,
): Promise<Checked> {
  const { system, classifier } = job;
  const { config } = job.source;
  const { ids, prompts } = goldenPrompts(job.tools, system, config);
  if (back.tools !== undefined) requireSameIds(ids, goldenPrompts(back.tools, undefined, config).ids);
  let step = 0;
  const onStep = () => {
    signal.throwIfAborted();
    onEvent({ type: 'progress', stage: 'check', done: ++step, total: CHECKS });
  };
  const trial = { rest: restOf(request.model, job.source), threads: threadsOf(request), onStep };
  const { merged, exported } = await withEngine(request, (engine) =>
    classifier === undefined
      ? compareAnswers(engine, job, prompts, back, trial)
      : compareClassifiers(engine, job, classifier, back, trial),
  );
  const limit = LIMITS[job.quant ?? 'exact'];
  requireWithin(merged, LIMITS.exact, job, back, 'merged weights');
  requireWithin(exported, limit, job, back, `files (${job.quant ?? request.to})`);
  return { prompts: ids.length, tokenIds: back.tools === undefined ? null : 'equal', merged, exported, limit };
}

function threadsOf({ model }: Pick<ExportRequest, 'model'>): number {
  return model.compute?.threads ?? availableParallelism();
}

async function withEngine<T>({ model }: ExportRequest, use: (engine: Engine) => Promise<T>): Promise<T> {
  const device = model.compute?.device === 'webgpu' ? 'webgpu' : 'cpu';
  const engine = openOrt({ device, threads: threadsOf({ model }), optimize: 'on' });
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}

/** @throws EXPORT_DIVERGED */
function requireSameIds(wanted: readonly (readonly number[])[], got: readonly (readonly number[])[]): void {
  for (const [i, ids] of wanted.entries()) {
    const at = ids.findIndex((id, j) => got[i]?.[j] !== id);
    if (at < 0 && got[i]?.length === ids.length) continue;
    const place = at < 0 ? ids.length : at;
    throw new TunesmithError('EXPORT_DIVERGED', {
      message: `golden prompt ${i + 1} has token ${ids[place] ?? 'none'} at place ${place}, and ${got[i]?.[place] ?? 'none'} by the exported tokenizer.`,
      fix: 'report it: the tokenizer of this model cannot be written in this format yet',
    });
  }
}

/** @throws EXPORT_DIVERGED naming the worst tensor */
function requireWithin(found: Difference, limit: Limit, job: ExportJob, back: ReadBack, what: string): void {
  if (isWithin(found, limit)) return;
  const { model } = back;
  const isMerged = model.kind === 'weights' && model.adapter === undefined;
  const worst = isMerged ? worstTensor(job.merged, model.source.tensors) : undefined;
  const where =
    worst === undefined
      ? ''
      : ` The worst tensor is ${worst.tensor}, off by ${percent(worst.relativeError)} of itself.`;
  throw new TunesmithError('EXPORT_DIVERGED', {
    message:
      `the ${what} differ from what was trained: mean KL ${found.meanKl.toPrecision(3)} nats (limit ${limit.meanKl}), ` +
      `same top token, near ties aside, at ${percent(found.clearAgreement)} of ${found.positions} places (limit ${percent(limit.clearAgreement)}).${where}`,
  });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function certified(
  request: ExportRequest,
  { job, provenance, baseSha256, adapterSha256 }: Prepared,
  checked: Checked & { readonly fallbacks: readonly Fallback[] },
): Omit<Certificate, 'files'> {
  return {
    certificate: 1,
    tunesmith: version(),
    to: request.to,
    quant: job.quant ?? null,
    base: { model: provenance.baseModel ?? null, sha256: baseSha256 },
    adapter: adapterSha256 ?? null,
    ...checked,
  };
}

async function hashes(folder: string, within = ''): Promise<ExportedFile[]> {
  const files: ExportedFile[] = [];
  for (const entry of listFolder(join(folder, within))) {
    const name = within === '' ? entry : `${within}/${entry}`;
    const path = join(folder, name);
    if (folderExists(path)) files.push(...(await hashes(folder, name)));
    else files.push({ name, bytes: fileSize(path), sha256: await sha256File(path) });
  }
  return files;
}
