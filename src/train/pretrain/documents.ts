import {
  createFindingLog,
  type FindingGroup,
  type FindingLog,
  isDocumentOrData,
  type LoadedFile,
  loadRows,
  type Row,
  readPairs,
  type Split,
  splitHalves,
  splitRows,
  splitTails,
  type TextRow,
  type Validation,
} from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { expandFiles } from '../../io/expand.ts';
import type { DataConfig } from '../config.ts';
import { isValidFile, validationOf } from '../dataset.ts';

/** Texts by what they are used for, before any tokenizer has seen them. */
export interface Documents {
  readonly train: readonly TextRow[];
  readonly select: readonly TextRow[];
  readonly report: readonly TextRow[];
  readonly files: readonly LoadedFile[];
  readonly notes: readonly string[];
  readonly findings: readonly FindingGroup[];
}

/** Documents below which the ends of documents are held out instead of whole ones, and how much of them. */
const FEW = { documents: 20, share: 0.1, characters: 400_000 };

/**
 * Reads the texts that are pre-trained on ({text} rows, .txt and .md files of one document each, folders of them) and splits them.
 *
 * @throws what `loadRows` throws, FILE_NOT_FOUND, DATA_BINARY, DATA_SPLIT_TOO_SMALL
 */
export async function openDocuments(data: DataConfig, seed: number): Promise<Documents> {
  const log = createFindingLog(data.allow);
  const load = async (names: string | readonly string[]) => {
    const files = documentFiles(names, log);
    return loadRows(files, { format: 'raw', plainText: 'document', ...columnsOf(data) });
  };
  const loaded = await load(data.train);
  const held = isValidFile(data.valid) ? await load(data.valid) : undefined;
  const texts = requireTexts(loaded.rows, log);
  const heldTexts = held && requireTexts(held.rows, log);
  const split = splitDocuments(texts, validationOf(data, heldTexts), seed);
  return {
    train: split.train.filter(isText),
    select: split.select.filter(isText),
    report: split.report.filter(isText),
    files: [...loaded.files, ...(held?.files ?? [])],
    notes: split.notes,
    findings: [...loaded.findings, ...(held?.findings ?? []), ...split.findings, ...log.groups()],
  };
}

function columnsOf({ allow, map, shape }: DataConfig) {
  return { allow, map: readPairs('map', map), shape };
}

/** The files that names, folders and patterns stand for. What is left out of a folder is said. */
export function documentFiles(names: string | readonly string[], log: FindingLog): string[] {
  return expandFiles(typeof names === 'string' ? [names] : names, (file) => {
    if (isDocumentOrData(file)) return true;
    log.add({ code: 'DATA_FILE_SKIPPED', file, message: 'is left out.' });
    return false;
  });
}

function isText(row: Row): row is TextRow {
  return row.kind === 'text';
}

function requireTexts(rows: readonly Row[], log: FindingLog): TextRow[] {
  for (const { kind, source } of rows) {
    if (kind !== 'text') log.add({ code: 'DATA_NOT_TEXT', ...source, message: `is a row of ${kind}, not of text.` });
  }
  return rows.filter(isText);
}

/** Whole documents are held out where there are many, the ends of documents where there are few. */
function splitDocuments(rows: readonly TextRow[], validation: Validation, seed: number): Split {
  if (validation.kind === 'rows' && validation.rows.length < FEW.documents) {
    const { findings } = splitRows(rows, { validation, seed });
    return { train: rows, ...splitHalves(validation.rows.filter(isText)), notes: [], findings };
  }
  const isFew = rows.length > 0 && rows.length < FEW.documents;
  if (!isFew || validation.kind === 'rows' || validation.kind === 'none') return splitRows(rows, { validation, seed });
  const isAsked = validation.kind === 'share';
  const split = splitTails(rows, isAsked ? validation.share : FEW.share, isAsked ? undefined : FEW.characters);
  const held = [...split.select, ...split.report].reduce((n, row) => n + (isText(row) ? row.text.length : 0), 0);
  if (held > 0) {
    const note = `the last ${held} characters of the documents are held out: documents are too few (${rows.length}) to hold out whole ones.`;
    return { ...split, notes: [note], findings: [] };
  }
  const message = `the text of ${rows.length} documents is too short to hold some of it out`;
  if (isAsked) {
    const fix = 'give another --valid FRACTION, a --valid FILE, or --valid none.';
    throw new TunesmithError('DATA_SPLIT_TOO_SMALL', { message: `${message}.`, fix });
  }
  return {
    ...split,
    notes: [`${message}: nothing says whether it learned. Give texts with --valid FILE.`],
    findings: [],
  };
}
