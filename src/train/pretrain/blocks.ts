import {
  assertNoErrors,
  createFindingLog,
  cutDocument,
  loadRows,
  mergeGroups,
  type PreparedExample,
  packBlocks,
  prepareExamples,
  type TextRow,
} from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { renderDocument, specialTexts, supervisedTokens, type Tokenizer } from '../../text/index.ts';
import type { PretrainMethod } from '../config.ts';
import {
  type Dataset,
  type DatasetOptions,
  findingText,
  requireVocabulary,
  rolesOf,
  systemPrompt,
} from '../dataset.ts';
import { requireTokenizer, rowRenderer } from '../rows.ts';
import { type Documents, documentFiles } from './documents.ts';
import type { Replay } from './pretraining.ts';

/** Tokens of a block where nothing is said, and model and memory allow it. */
const LENGTH = 1024;

/** Share of a step that is replayed where nothing is said: what Ibrahim et al. 2024 (arXiv:2403.08763) found enough for a weak shift. */
const RATIO = 0.05;

/** How pre-training reads its data. */
export type PretrainOptions = Omit<DatasetOptions, 'method'> & {
  readonly method: PretrainMethod;
};

/**
 * Tokenises documents and lays them out in blocks. Every token trains, none is lost: see {@link cutDocument} and {@link packBlocks}.
 *
 * @throws the first error among the findings, with all of them in its message; TOKENIZER_MISSING, TOKENIZER_MISMATCH
 */
export async function openPretraining(documents: Documents, options: PretrainOptions): Promise<Dataset> {
  const { data, text, model, longest } = options;
  // Before anything is tokenised, which takes long.
  assertNoErrors(mergeGroups(documents.findings));
  const limit = Math.min(LENGTH, model.maxPositions, longest);
  const maxLength = data.maxLength ?? limit;
  const tokenizer = requireTokenizer(text);
  const pieces = (rows: readonly TextRow[]) => rows.flatMap((row) => cut(row, tokenizer, maxLength));
  const [train, select, report] = [documents.train, documents.select, documents.report].map(pieces) as [
    PreparedExample[],
    PreparedExample[],
    PreparedExample[],
  ];
  if (train.length === 0) {
    throw new TunesmithError('DATA_NOTHING_SUPERVISED', {
      file: documents.files[0]?.path,
      message: 'no text has a token that can be predicted.',
      fix: 'give texts of more than one token',
    });
  }
  const replay = await openReplay(options, maxLength);
  for (const part of [train, select, report]) requireVocabulary(part, model.vocabSize);
  const groups = mergeGroups(documents.findings, replay?.findings ?? []);
  const bytes = {
    select: bytesOf(documents.select, select, tokenizer),
    report: bytesOf(documents.report, report, tokenizer),
  };
  return {
    train,
    select,
    report,
    files: [...documents.files, ...(replay?.files ?? [])],
    classes: undefined,
    maxLength,
    lengthOrigin: data.maxLength === undefined ? originOf(limit, options) : 'given',
    warnings: [
      ...groups.map((group) => ({ code: group.code, message: findingText(group) })),
      ...documents.notes.map((message) => ({ code: 'DATA_SPLIT', message })),
    ],
    pretraining: { blocks: packBlocks(lengthsOf(train), maxLength), replay: replay?.replay, bytes },
  };
}

function originOf(limit: number, { model, longest }: PretrainOptions): string {
  if (limit === LENGTH) return 'blocks of documents';
  return `blocks of documents, as long as ${longest < model.maxPositions ? 'memory' : 'the model'} allows`;
}

function cut(row: TextRow, tokenizer: Tokenizer, length: number): PreparedExample[] {
  return cutDocument(renderDocument(row.text, tokenizer), length)
    .filter((example) => supervisedTokens(example) > 0)
    .map((example) => ({ row, example }));
}

function lengthsOf(examples: readonly PreparedExample[]): number[] {
  return examples.map(({ example }) => example.ids.length);
}

/** Bytes of the texts whose tokens are predicted: all but the first token of each, and that too where a BOS stands before it. */
function bytesOf(rows: readonly TextRow[], examples: readonly PreparedExample[], tokenizer: Tokenizer): number {
  let bytes = rows.reduce((n, { text }) => n + Buffer.byteLength(text), 0);
  const seen = new Set<unknown>();
  for (const { row, example } of examples) {
    const [first] = example.ids;
    if (!seen.has(row) && first !== undefined && first !== tokenizer.bosId) {
      bytes -= Buffer.byteLength(tokenizer.decode([first]));
    }
    seen.add(row);
  }
  return Math.max(1, bytes);
}

/** Replayed rows may have any shape that sft trains: they are rendered as it renders them, and texts as documents. */
async function openReplay({ data, method, text, model }: PretrainOptions, maxLength: number) {
  const { replay: name, replayRatio: ratio = RATIO } = method;
  if (name === undefined) return undefined;
  const log = createFindingLog(data.allow);
  const loaded = await loadRows(documentFiles(name, log), {
    plainText: 'document',
    format: text.format,
    system: systemPrompt(data),
    vocabSize: model.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: data.allow,
    roles: rolesOf(data.role),
  });
  const tokenizer = requireTokenizer(text);
  const other = rowRenderer(text, 'train');
  const texts = loaded.rows.filter((row): row is TextRow => row.kind === 'text');
  const rest = prepareExamples(
    loaded.rows.filter((row) => row.kind !== 'text'),
    other,
    { maxLength, onLong: data.onLong, allow: data.allow },
  );
  const examples = [...texts.flatMap((row) => cut(row, tokenizer, maxLength)), ...rest.examples];
  const findings = mergeGroups(loaded.findings, rest.findings, log.groups());
  assertNoErrors(findings);
  requireVocabulary(examples, model.vocabSize);
  if (examples.length === 0) {
    const message = 'has nothing that can be replayed.';
    throw new TunesmithError('DATA_NOTHING_SUPERVISED', { file: name, message });
  }
  const replay: Replay = { examples, blocks: packBlocks(lengthsOf(examples), maxLength), ratio };
  return { replay, findings, files: loaded.files };
}
