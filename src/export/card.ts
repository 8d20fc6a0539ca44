import { basename, join } from 'node:path';
import type { ModelRequest } from '../evaluate/types.ts';
import { fileExists, readJson, readText } from '../io/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { knownModel } from '../model/catalogue.ts';
import { type ModelSource, sourceName } from '../model/source.ts';
import { readFrozen } from '../train/run.ts';
import type { Difference, Limit } from './compare.ts';
import type { ExportJob, ExportTarget, Fallback } from './types.ts';

/** Where a model comes from, as far as its files say. */
export interface Provenance {
  /** Hub id or short name of the base. */
  readonly baseModel: string | undefined;
  /** sha256 of the base's weights as the run saw them; undefined for a model that is exported as it is. */
  readonly baseSha256: string | undefined;
  /** SPDX identifier of the base's licence. */
  readonly licence: string | undefined;
  /** The clock that templates of the run show. */
  readonly clock: Date;
  /** What trained it; undefined for a model that is exported as it is. */
  readonly run: { readonly method: string; readonly weights: string; readonly settings: readonly string[] } | undefined;
  readonly data: readonly { readonly name: string; readonly sha256: string; readonly rows: number | undefined }[];
}

/** Reads what the run and the base say of themselves. No path of this machine goes in. */
export function provenanceOf(model: ModelRequest, source: ModelSource): Provenance {
  const frozen = model.run === undefined ? undefined : readFrozen(model.run);
  const { metadata } = source.text?.kind === 'gguf' ? source.text : { metadata: {} as Record<string, unknown> };
  const hubId = model.hubId;
  const known = hubId === undefined ? undefined : knownModel(hubId);
  const stated = metadata['general.license'];
  const licence = known?.licence ?? (typeof stated === 'string' ? stated : undefined) ?? licenceOfCard(source.path);
  const clock = frozen === undefined ? new Date() : new Date(frozen.facts.text.clock);
  const baseModel = hubId ?? (frozen === undefined ? sourceName(source) : undefined);
  const origin = { baseModel, baseSha256: frozen?.facts.base.sha256, licence, clock };
  if (frozen === undefined || model.run === undefined) return { ...origin, run: undefined, data: [] };
  const { config } = frozen;
  const settings = Object.entries({ ...config.weights, ...config.train }).flatMap(([key, value]) =>
    key === 'kind' || value === undefined || typeof value === 'object' ? [] : [`${key} ${value}`],
  );
  const run = { method: config.method.kind, weights: config.weights.kind, settings };
  return { ...origin, run, data: dataFiles(model.run) };
}

/** `license: apache-2.0` in the front matter of a model's README.md. */
function licenceOfCard(path: string): string | undefined {
  const card = join(path, 'README.md');
  return fileExists(card) ? /^license:\s*([\w.-]+)\s*$/m.exec(readText(card).slice(0, 4096))?.[1] : undefined;
}

function dataFiles(run: string): Provenance['data'] {
  const file = join(run, 'data.json');
  const json = fileExists(file) ? readJson(file) : undefined;
  const files = isRecord(json) && Array.isArray(json.files) ? json.files : [];
  return files.filter(isRecord).flatMap(({ path, file: name, sha256, rows }) => {
    const given = typeof path === 'string' ? path : name;
    if (typeof given !== 'string' || typeof sha256 !== 'string') return [];
    return [{ name: basename(given), sha256, rows: typeof rows === 'number' ? rows : undefined }];
  });
}

/** What a card is written from. */
export interface CardFacts {
  readonly job: ExportJob;
  readonly provenance: Provenance;
  readonly to: ExportTarget;
  readonly baseSha256: string;
  readonly report?: { readonly before: number; readonly after: number; readonly tokens: number } | undefined;
  readonly prompts: number;
  readonly merged: Difference;
  readonly exported: Difference;
  readonly limit: Limit;
  readonly fallbacks: readonly Fallback[];
}

/** The model card: Markdown with the front matter that the hub reads. */
export function modelCard(facts: CardFacts): string {
  const { job, provenance, to } = facts;
  const sections = [
    frontMatter(facts),
    `# ${job.name}`,
    `${intro(facts)} Written by tunesmith as \`${to}\`${job.quant === undefined ? '' : ` (${job.quant})`}.`,
    ...(job.system === undefined ? [] : [`Trained with the system prompt\n\n${quoted(job.system)}`]),
    ...training(facts),
    '## What was checked',
    checks(facts),
    '## Licence',
    provenance.licence === undefined
      ? 'The base model does not say its licence; see where it comes from. The adapter and the merged weights stand under it too.'
      : `The base model's: ${provenance.licence}.`,
  ];
  return `${sections.join('\n\n')}\n`;
}

const LIBRARIES: Readonly<Record<ExportTarget, string>> = {
  peft: 'peft',
  safetensors: 'transformers',
  gguf: 'gguf',
  'gguf-adapter': 'gguf',
  ollama: 'gguf',
  onnx: 'transformers.js',
};

function frontMatter({ job, provenance, to }: CardFacts): string {
  const lines = [
    ...(provenance.licence === undefined ? [] : [`license: ${provenance.licence.toLowerCase()}`]),
    ...(provenance.baseModel === undefined ? [] : [`base_model: ${provenance.baseModel}`]),
    `library_name: ${LIBRARIES[to]}`,
    `pipeline_tag: ${job.classifier === undefined ? 'text-generation' : 'text-classification'}`,
    'tags:',
    '- tunesmith',
    ...(job.adapter === undefined ? [] : ['- lora']),
  ];
  return `---\n${lines.join('\n')}\n---`;
}

function intro({ provenance, baseSha256, job }: CardFacts): string {
  const base = `${provenance.baseModel ?? 'a base model'} (sha256 \`${baseSha256}\`)`;
  if (provenance.run !== undefined) return `Fine-tuned from ${base}.`;
  return job.adapter === undefined ? `A copy of ${base}.` : `An adapter over ${base}.`;
}

function quoted(text: string): string {
  return text
    .split('\n')
    .map((line) => `> ${line}`)
    .join('\n');
}

function training({ provenance, report }: CardFacts): string[] {
  const { run, data } = provenance;
  if (run === undefined) return [];
  const files = data.map((f) => `- ${f.name}${f.rows === undefined ? '' : `, ${f.rows} rows`}, sha256 \`${f.sha256}\``);
  const figures =
    report === undefined
      ? []
      : [
          `On held-out rows that were read once, at the end (${report.tokens} tokens): ` +
            `${report.before.toFixed(4)} nats per token before, ${report.after.toFixed(4)} after.`,
        ];
  return [
    '## Training',
    `Method ${run.method}, weights ${run.weights}: ${run.settings.join(', ')}.`,
    ...(files.length === 0 ? [] : [`Data:\n\n${files.join('\n')}`]),
    ...figures,
  ];
}

function checks({ to, prompts, merged, exported, limit, fallbacks }: CardFacts): string {
  const row = (name: string, d: Difference) =>
    `| ${name} | ${d.meanKl.toExponential(1)} | ${(100 * d.topOneAgreement).toFixed(1)} % | ${d.largestLogitDifference.toPrecision(2)} |`;
  const table = [
    `${prompts} prompts, ${merged.positions} tokens of its answers, against the model as it was trained:`,
    '',
    '| | mean KL, nats | same top token | largest logit difference |',
    '|---|---|---|---|',
    row('merged, before rounding', merged),
    row('these files, read back', exported),
    '',
    `The limit was a mean KL of ${limit.meanKl} and ${100 * limit.clearAgreement} %, near ties aside. \`certificate.json\` has the hashes of all files.`,
  ];
  const kinds = new Map<string, number>();
  for (const { wanted, got } of fallbacks)
    kinds.set(`${wanted} to ${got}`, (kinds.get(`${wanted} to ${got}`) ?? 0) + 1);
  if (kinds.size > 0) {
    const list = [...kinds].map(([kind, count]) => `${kind} (${count} tensors)`).join(', ');
    const why = to === 'onnx' ? '32 got another type' : '256 got another type, as in llama.cpp';
    table.push('', `Rows that are no multiple of ${why}: ${list}.`);
  }
  return table.join('\n');
}
