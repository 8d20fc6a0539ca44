import { TunesmithError } from '../errors/index.ts';
import { decodeText } from '../io/files.ts';
import { type ByteSource, type FileDigest, type LineBlock, lineBlocks, openBytes, textLines } from '../io/lines.ts';
import { badLine, jsonFile, jsonLines } from './read-json.ts';
import { parquet } from './read-parquet.ts';
import { table } from './read-table.ts';
import type { RawRecord } from './records.ts';

/** A data file as a stream of records. */
export interface RecordSource {
  /** Drawn once. @throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_NOT_UTF8, DATA_GZIP, DATA_TABLE, DATA_PARQUET */
  readonly records: AsyncIterable<RawRecord>;
  /** Of a file of JSON lines the same as bytes, to be drawn instead, before any column is renamed. */
  readonly blocks: AsyncIterable<LineBlock> | undefined;
  /** Bytes of the file on the disk that have been drawn. */
  drawn(): number;
  /** Known once `records` has been drawn to its end. */
  digest(): FileDigest;
}

type FileType = 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'txt' | 'document';

/** What a plain text file holds: rows that blank lines part, or one document. */
export type PlainText = 'rows' | 'document';

const EXTENSIONS: Readonly<Record<string, FileType>> = {
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  parquet: 'parquet',
  txt: 'txt',
};

/** A document has to fit into memory, as one text. */
const MAX_WHOLE = 2 ** 29 - 25;

/** Plain text that is one document; .md is nothing else. */
const DOCUMENTS: readonly string[] = ['txt', 'md', 'markdown'];

/**
 * Opens a data file by its extension: .jsonl (or .ndjson), .json, .csv, .tsv, .parquet, .txt, each gzipped or not.
 *
 * Nothing but the record at hand is held: of .parquet its row group, of a .json file that is no array the file.
 *
 * Lines count from 1: the line of the file for .jsonl, .csv and .txt, the record's number for .json arrays and .parquet. In a .txt file
 * blank lines part the rows, unless plain text is to be a document: then it is one {text} row, as are .md files.
 *
 * @throws DATA_FILE_TYPE
 */
export function openRecords(path: string, plainText: PlainText = 'rows'): RecordSource {
  const type = fileType(path, plainText);
  const source = openBytes(path);
  return {
    records: recordsOf(type, source, path),
    blocks: type === 'jsonl' ? lineBlocks(source.chunks) : undefined,
    ...{ drawn: source.drawn, digest: source.digest },
  };
}

/** Whether the extension is one of a data file or a document. */
export function isDocumentOrData(path: string): boolean {
  return typeOfExtension(extensionOf(path), 'document') !== undefined;
}

/** Whether the extension is one of records or of plain text that is read as rows; undefined of other files. */
export function contentOf(path: string): 'records' | 'text' | undefined {
  const type = typeOfExtension(extensionOf(path), 'rows');
  return type === undefined ? undefined : type === 'txt' ? 'text' : 'records';
}

function extensionOf(path: string): string {
  return /\.([^./\\]+)$/.exec(path.replace(/\.gz$/i, ''))?.[1]?.toLowerCase() ?? '';
}

function typeOfExtension(extension: string, plainText: PlainText): FileType | undefined {
  if (plainText === 'document' && DOCUMENTS.includes(extension)) return 'document';
  return Object.hasOwn(EXTENSIONS, extension) ? EXTENSIONS[extension] : undefined;
}

function fileType(path: string, plainText: PlainText): FileType {
  const extension = extensionOf(path);
  const type = typeOfExtension(extension, plainText);
  if (type !== undefined) return type;
  const message =
    extension === '' ? 'has no extension that tells its format.' : `has the unknown extension ".${extension}".`;
  const fix = DOCUMENTS.includes(extension) ? '--method pretrain reads it as a document' : undefined;
  throw new TunesmithError('DATA_FILE_TYPE', { message, file: path, ...(fix === undefined ? {} : { fix }) });
}

function recordsOf(type: FileType, source: ByteSource, path: string): AsyncGenerator<RawRecord> {
  switch (type) {
    case 'jsonl':
      return jsonLines(source.chunks);
    case 'json':
      return jsonFile(source.chunks, path);
    case 'csv':
      return table(source.chunks, path, ',');
    case 'tsv':
      return table(source.chunks, path, '\t');
    case 'parquet':
      return parquet(source, path);
    case 'txt':
      return paragraphs(source);
    case 'document':
      return document(source, path);
    default:
      return type satisfies never;
  }
}

async function* paragraphs(source: ByteSource): AsyncGenerator<RawRecord> {
  let start = 0;
  let lines: string[] = [];
  for await (const line of textLines(source.chunks)) {
    if ('problem' in line) {
      yield badLine(line);
      continue;
    }
    if (line.text.trim() !== '') {
      if (lines.length === 0) start = line.line;
      lines.push(line.text);
    } else if (lines.length > 0) {
      yield { line: start, value: { text: lines.join('\n') } };
      lines = [];
    }
  }
  if (lines.length > 0) yield { line: start, value: { text: lines.join('\n') } };
}

/** The whole file as one text, white space and all. */
async function* document(source: ByteSource, path: string): AsyncGenerator<RawRecord> {
  const bytes = await wholeFile(source, path);
  if (bytes.length === 0) return;
  const zero = isUtf16(bytes) ? -1 : bytes.indexOf(0);
  if (zero >= 0) {
    throw new TunesmithError('DATA_BINARY', { message: `holds the byte 0 at offset ${zero}.`, file: path });
  }
  yield { line: 1, value: { text: decodeText(bytes, path) } };
}

/** Told apart so that decodeText() can say what it is. */
function isUtf16(bytes: Buffer): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}

async function wholeFile(source: ByteSource, path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source.chunks) {
    size += chunk.length;
    if (size > MAX_WHOLE) {
      throw new TunesmithError('FILE_UNREADABLE', { message: 'is a document of more than 512 MiB.', file: path });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
