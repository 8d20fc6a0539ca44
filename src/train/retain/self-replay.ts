import { join } from 'node:path';
import {
  assertNoErrors,
  createFindingLog,
  type LoadedFile,
  loadRows,
  type PreparedExample,
  packBlocks,
  type Row,
  readPairs,
} from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { generate } from '../../generate/index.ts';
import { fileExists, makeFolder, readText, sha256, sha256File, writeAtomic } from '../../io/index.ts';
import { IGNORE } from '../../text/example.ts';
import { renderPrompt, renderRawPrompt } from '../../text/index.ts';
import { newestCheckpoint } from '../checkpoint.ts';
import type { DataConfig } from '../config.ts';
import { type RunContext, START } from '../context.ts';
import { rolesOf } from '../dataset.ts';
import type { PretrainMethod, SftMethod } from '../methods.ts';
import { documentFiles } from '../pretrain/documents.ts';
import { requireTokenizer, type TextSetup } from '../rows.ts';
import { generationOf, promptOf } from '../samples.ts';
import { OPENINGS, QUESTIONS } from './prompts.ts';
import type { Replay } from './replay.ts';

/** Rows that are sampled where nothing is said, and the longest answer. */
const SAMPLES = 96;
const MAX_TOKENS = 64;

/** Prompts that the model answers itself before it trains, as token ids. */
export interface SelfReplay {
  readonly prompts: readonly (readonly number[])[];
  readonly maxTokens: number;
}

/** What prompts are read with. */
export interface SelfReplayOptions {
  readonly data: DataConfig;
  readonly method: SftMethod | PretrainMethod;
  readonly text: TextSetup;
  /** Tokens that no row exceeds. */
  readonly maxLength: number;
}

/**
 * The prompts of a self-generated replay: generic ones, and as many of an earlier task, whose answers are not read (pseudo-rehearsal: Robins 1995; of language
 * models: Huang et al. 2024, arXiv:2403.01244).
 *
 * @throws DATA_NOTHING_SUPERVISED for a file without prompts, TOKENIZER_MISSING, and what reading rows throws
 */
export async function selfPrompts(
  options: SelfReplayOptions,
): Promise<{ readonly self: SelfReplay; readonly files: readonly LoadedFile[] }> {
  const { data, method, text, maxLength } = options;
  const { replayPrompts: name, replaySamples: count = SAMPLES } = method;
  const maxTokens = Math.min(MAX_TOKENS, Math.floor(maxLength / 2));
  const earlier = name === undefined ? { prompts: [], files: [] } : await earlierPrompts(name, data, text);
  const fitting = earlier.prompts.filter(({ length }) => length + maxTokens <= maxLength);
  if (name !== undefined && fitting.length === 0) {
    const message = `holds no prompt of at most ${maxLength - maxTokens} tokens.`;
    throw new TunesmithError('DATA_NOTHING_SUPERVISED', { file: name, message, fix: 'leave --replay-prompts out' });
  }
  const half = fitting.length === 0 ? 0 : Math.floor(count / 2);
  const own = spread(fitting, half);
  const prompts = [...repeated(genericPrompts(text), count - own.length), ...own];
  return { self: { prompts, maxTokens }, files: earlier.files };
}

function genericPrompts(text: TextSetup): number[][] {
  const tokenizer = requireTokenizer(text);
  const openings = OPENINGS.map((opening) => renderRawPrompt(opening, tokenizer));
  const { template } = text;
  if (template === undefined || text.format === 'raw') return openings;
  return QUESTIONS.flatMap((content, i) => [
    renderPrompt([{ role: 'user', content }], undefined, { tokenizer, template }),
    openings[i]!,
  ]);
}

async function earlierPrompts(name: string, data: DataConfig, text: TextSetup) {
  const loaded = await loadRows(documentFiles(name, createFindingLog(data.allow)), {
    answers: 'optional',
    format: text.format,
    allow: data.allow,
    roles: rolesOf(data.role),
    map: readPairs('map', data.map),
  });
  assertNoErrors(loaded.findings);
  const prompts = loaded.rows.map((row) => promptOf(row, text)?.ids ?? []).filter(({ length }) => length > 0);
  return { prompts, files: loaded.files };
}

/** So many of all, evenly spread; all again where there are fewer. */
function spread<T>(all: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
}

function repeated<T>(all: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, i) => all[i % all.length]!);
}

/** Rows as long as they can get, in whose place comes what is generated: what a plan is made from. */
export function expectedReplay(
  self: SelfReplay,
  shape: Pick<Replay, 'ratio'>,
  method: string,
  maxLength: number,
): Replay {
  const longest = self.prompts.map((prompt) => [...prompt, ...new Array<number>(self.maxTokens).fill(0)]);
  return { ...replayOf(longest, method, maxLength), ...shape, self };
}

function replayOf(rows: readonly (readonly number[])[], method: string, maxLength: number) {
  const examples = rows.map((ids, i): PreparedExample => {
    const labels = new Array<number>(ids.length).fill(IGNORE);
    const row: Row = { kind: 'ids', source: { file: 'its own text', line: i + 1 }, ids: [...ids], labels };
    return { row, example: { ids: Int32Array.from(ids), labels: Int32Array.from(labels) } };
  });
  const lengths = rows.map(({ length }) => length);
  const blocks = method === 'pretrain' ? packBlocks(lengths, maxLength) : rows.map((_, i) => [i]);
  return { examples, blocks };
}

/** File of a run that holds what its model said before it trained: a row of token ids a line. */
const FILE = 'replay.jsonl';

/**
 * Lets the model as the run starts answer the prompts of a self-generated replay. What it says is kept in the run, and in the cache under the hash of all that
 * it depends on, so that the next run from the same start has it at once.
 *
 * @throws RUN_CHECKPOINT if a resumed run that has taken steps lacks it
 */
export async function withGenerated(run: RunContext, signal: AbortSignal): Promise<RunContext> {
  const { dataset } = run;
  const { replay } = dataset;
  if (replay?.self === undefined) return run;
  const rows = await generatedRows(run, replay.self, signal);
  const made = replayOf(rows, run.frozen.config.method.kind, dataset.maxLength);
  return { ...run, dataset: { ...dataset, replay: { ...replay, ...made } } };
}

async function generatedRows(run: RunContext, self: SelfReplay, signal: AbortSignal): Promise<number[][]> {
  const file = join(run.path, FILE);
  const there = fileExists(file) ? readRows(file) : [];
  if (there.length === self.prompts.length) return there;
  if (run.isResumed && newestCheckpoint(run.path) !== undefined) {
    const message = 'is gone: what the model said before it trained, which is replayed.';
    throw new TunesmithError('RUN_CHECKPOINT', { file, message, fix: 'start the run anew' });
  }
  const folder = run.cache === undefined ? undefined : join(run.cache, 'replay');
  const cached = folder && join(folder, `${await keyOf(run, self)}.jsonl`);
  const keep = (rows: readonly (readonly number[])[]) => writeAtomic(file, rowsText(rows));
  const isKnown = cached !== undefined && fileExists(cached);
  const rows = isKnown ? readRows(cached) : await sampleRows(run, self, there, keep, signal);
  if (cached !== undefined && !isKnown) {
    makeFolder(folder!);
    writeAtomic(cached, rowsText(rows));
  }
  keep(rows);
  return rows;
}

function rowsText(rows: readonly (readonly number[])[]): string {
  return rows.map((ids) => `${JSON.stringify(ids)}\n`).join('');
}

function readRows(file: string): number[][] {
  return readText(file)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as number[]);
}

/** All that the samples depend on. */
async function keyOf(
  { path, facts, frozen, source: { added } }: RunContext,
  { prompts, maxTokens }: SelfReplay,
): Promise<string> {
  const adapter = join(path, START, 'adapter_model.safetensors');
  const start = fileExists(adapter) ? await sha256File(adapter) : '';
  const { baseWeights } = frozen.config.compute;
  return sha256(
    JSON.stringify([
      ...[2, facts.base.sha256, baseWeights, start, frozen.config.train.seed, maxTokens, prompts],
      ...(added === undefined ? [] : [added]),
    ]),
  );
}

/** Prompts that are answered at a time: what is kept of a run that is interrupted meanwhile. The same however often that happens, for so are the bits. */
const PART = 16;

/**
 * @param known rows of the first prompts, from before an interruption
 * @param keep what is there so far
 */
async function sampleRows(
  run: RunContext,
  { prompts, maxTokens }: SelfReplay,
  known: readonly (readonly number[])[],
  keep: (rows: readonly (readonly number[])[]) => void,
  signal: AbortSignal,
): Promise<number[][]> {
  const { session, stopIds, tokenizer } = generationOf(run);
  const sampling = { temperature: 1, seed: run.frozen.config.train.seed };
  const rows = known.slice(0, known.length - (known.length % PART)).map((ids) => [...ids]);
  let done = rows.length;
  const tell = () => run.onActivity({ kind: 'rehearse', done, total: prompts.length, unit: 'rows' });
  tell();
  while (rows.length < prompts.length) {
    const firstIndex = rows.length;
    const asked = prompts.slice(firstIndex, firstIndex + PART);
    const part = asked.map((prompt) => [...prompt]);
    for await (const event of generate(session, asked, {
      tokenizer,
      maxTokens,
      sampling,
      stopIds,
      firstIndex,
      signal,
    })) {
      if (event.type !== 'result') continue;
      part[event.index - firstIndex]!.push(...event.ids);
      done++;
      tell();
    }
    rows.push(...part);
    keep(rows);
  }
  return rows;
}
