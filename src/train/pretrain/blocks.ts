import { assertNoErrors, mergeGroups, type PreparedExample, packBlocks, type TextRow } from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import type { Tokenizer } from '../../text/index.ts';
import { type Dataset, type DatasetOptions, findingText, requireVocabulary } from '../dataset.ts';
import type { PretrainMethod } from '../methods.ts';
import { requireTokenizer } from '../rows.ts';
import type { Documents } from './documents.ts';
import { cutText } from './pieces.ts';

/** Tokens of a block where nothing is said, and model and memory allow it. */
const LENGTH = 1024;

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
  const pieces = (rows: readonly TextRow[]) => rows.flatMap((row) => cutText(row, tokenizer, maxLength));
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
  for (const part of [train, select, report]) requireVocabulary(part, model.vocabSize);
  const groups = mergeGroups(documents.findings);
  const bytes = {
    select: bytesOf(documents.select, select, tokenizer),
    report: bytesOf(documents.report, report, tokenizer),
  };
  return {
    train,
    select,
    report,
    files: documents.files,
    classes: undefined,
    maxLength,
    lengthOrigin: data.maxLength === undefined ? originOf(limit, options) : 'given',
    warnings: [
      ...groups.map((group) => ({ code: group.code, message: findingText(group) })),
      ...documents.notes.map((message) => ({ code: 'DATA_SPLIT', message })),
    ],
    pretraining: { blocks: packBlocks(lengthsOf(train), maxLength), bytes },
  };
}

function originOf(limit: number, { model, longest }: PretrainOptions): string {
  if (limit === LENGTH) return 'blocks of documents';
  return `blocks of documents, as long as ${longest < model.maxPositions ? 'memory' : 'the model'} allows`;
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
