import {
  assertNoErrors,
  createFindingLog,
  type FindingGroup,
  type LoadedFile,
  loadRows,
  mergeGroups,
  type PreparedExample,
  packBlocks,
  prepareExamples,
  readPairs,
  type TextRow,
} from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { permutation } from '../../math/random.ts';
import type { ModelConfig } from '../../model/config.ts';
import { specialTexts } from '../../text/index.ts';
import type { DataConfig } from '../config.ts';
import { type Dataset, findingText, requireVocabulary, rolesOf, systemPrompt } from '../dataset.ts';
import { type Method, type PretrainMethod, SELF, type SftMethod } from '../methods.ts';
import { documentFiles } from '../pretrain/documents.ts';
import { cutText } from '../pretrain/pieces.ts';
import { requireTokenizer, rowRenderer, type TextSetup } from '../rows.ts';
import { requireUnmeasured } from './measured.ts';
import { expectedReplay, type SelfReplay, selfPrompts } from './self-replay.ts';

/** What is replayed (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"; in pre-training Ibrahim et al. 2024, arXiv:2403.08763). */
export interface Replay {
  readonly examples: readonly PreparedExample[];
  /** By index into these examples: a row of a batch each. */
  readonly blocks: readonly (readonly number[])[];
  /** Share of a step's rows that are replayed. */
  readonly ratio: number;
  /** What the model answers before it trains, in the place of rows from files: held to what the start predicts, not to labels. */
  readonly self?: SelfReplay | undefined;
}

/** Share of a step that is replayed where nothing is said; of documents what Ibrahim et al. found enough for a weak shift. */
const RATIO = { sft: 0.1, pretrain: 0.05 } as const;

/** The same where a budget is in danger. */
const BUDGETED_RATIO = 0.2;

/** The share of a step that a method replays. */
export function replayRatio({ kind, replayRatio: given }: SftMethod | PretrainMethod): number {
  return given ?? RATIO[kind];
}

/** Rows that are replayed in a step, on average: on top of the batch, so many that they are `ratio` of all. */
export function replayedPerStep(batch: number, { ratio }: Pick<Replay, 'ratio'>): number {
  return (batch * ratio) / (1 - ratio);
}

/**
 * What a step replays, as indices into the examples of a replay. Rows are drawn without putting back, in a new order each time that all have been drawn.
 * A function of (seed, step), so that a resumed run takes the very same.
 */
export function drawnBySteps(
  replay: Pick<Replay, 'blocks' | 'ratio'>,
  { batch, seed }: { readonly batch: number; readonly seed: number },
): (step: number) => readonly number[] {
  const perStep = replayedPerStep(batch, replay);
  // The tiny allowance keeps a product such as 3 * 1.1 from falling short of its whole number.
  const until = (step: number) => Math.floor(step * perStep + 1e-9);
  const draw = drawer(replay.blocks, seed);
  return (step) => {
    const drawn: number[] = [];
    for (let at = until(step - 1); at < until(step); at++) drawn.push(...draw(at));
    return drawn;
  };
}

/** The block that is drawn as number `at` (from 0). */
function drawer(blocks: readonly (readonly number[])[], seed: number): (at: number) => readonly number[] {
  let round = -1;
  let order = new Uint32Array();
  return (at) => {
    const wanted = Math.floor(at / blocks.length);
    if (wanted !== round) order = permutation(seed, 'replay', wanted, blocks.length) as typeof order;
    round = wanted;
    return blocks[order[at % blocks.length]!]!;
  };
}

/** What replayed rows are read with. */
export interface ReplayOptions {
  readonly data: DataConfig;
  readonly method: SftMethod | PretrainMethod;
  readonly text: TextSetup;
  readonly model: ModelConfig;
  /** Tokens that no row exceeds. */
  readonly maxLength: number;
  /** Texts on which forgetting is measured. */
  readonly measured: readonly string[];
}

/** Rows that are replayed, and all that was found about them. */
export interface OpenedReplay {
  readonly replay: Replay;
  readonly findings: readonly FindingGroup[];
  readonly files: readonly LoadedFile[];
}

/**
 * Reads rows to replay, of any shape that sft trains: they are rendered as it renders them, and texts as documents.
 *
 * @throws REPLAY_MEASURED, DATA_NOTHING_SUPERVISED, and what reading rows throws
 */
export async function openReplay(options: ReplayOptions): Promise<OpenedReplay | undefined> {
  const { data, method, text, model, maxLength, measured } = options;
  const { replay: name } = method;
  if (name === undefined || name === SELF) return undefined;
  const log = createFindingLog(data.allow);
  const loaded = await loadRows(documentFiles(name, log), {
    plainText: 'document',
    format: text.format,
    system: systemPrompt(data),
    vocabSize: model.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: data.allow,
    roles: rolesOf(data.role),
    map: readPairs('map', data.map),
  });
  requireUnmeasured(loaded.rows, measured);
  const texts = loaded.rows.filter((row): row is TextRow => row.kind === 'text');
  const rest = prepareExamples(
    loaded.rows.filter((row) => row.kind !== 'text'),
    rowRenderer(text, 'train'),
    { maxLength, onLong: data.onLong, allow: data.allow },
  );
  const pieces = texts.length === 0 ? [] : texts.flatMap((row) => cutText(row, requireTokenizer(text), maxLength));
  const examples = [...pieces, ...rest.examples];
  const findings = mergeGroups(loaded.findings, rest.findings, log.groups());
  assertNoErrors(findings);
  requireVocabulary(examples, model.vocabSize);
  if (examples.length === 0) {
    const message = 'has nothing that can be replayed.';
    throw new TunesmithError('DATA_NOTHING_SUPERVISED', { file: name, message });
  }
  const lengths = examples.map(({ example }) => example.ids.length);
  const blocks = method.kind === 'pretrain' ? packBlocks(lengths, maxLength) : examples.map((_, i) => [i]);
  return { replay: { examples, blocks, ratio: replayRatio(method) }, findings, files: loaded.files };
}

/** Tokens that a replayed row may have, however short the rows of the task are. */
const LENGTH = 256;

/** A data set with what its method replays. @throws what {@link openReplay} throws */
export async function withReplay(
  dataset: Dataset,
  options: Omit<ReplayOptions, 'method' | 'maxLength'> & {
    readonly method: Method;
    readonly longest: number;
    /** A run with a budget may have to replay something: what the model said itself, if no rows are given. */
    readonly isBudgeted: boolean;
  },
): Promise<Dataset> {
  const { method, data, model, longest } = options;
  if (method.kind !== 'sft' && method.kind !== 'pretrain') return dataset;
  const isFixed = method.kind === 'pretrain' || data.maxLength !== undefined;
  const roomy = Math.min(Math.max(dataset.maxLength, LENGTH), longest, model.maxPositions);
  const maxLength = isFixed ? dataset.maxLength : roomy;
  if (method.replay === SELF || (options.isBudgeted && method.replay === undefined)) {
    const { self, files } = await selfPrompts({ ...options, method, maxLength });
    const ratio = method.replay === SELF ? replayRatio(method) : BUDGETED_RATIO;
    const replay = expectedReplay(self, { ratio }, method.kind, maxLength);
    return { ...dataset, replay, files: [...dataset.files, ...files] };
  }
  const opened = await openReplay({ ...options, method, maxLength });
  if (opened === undefined) return dataset;
  const { replay, findings, files } = opened;
  const warnings = findings.map((group) => ({ code: group.code, message: findingText(group) }));
  return { ...dataset, replay, files: [...dataset.files, ...files], warnings: [...dataset.warnings, ...warnings] };
}
