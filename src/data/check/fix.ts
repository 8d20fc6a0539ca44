import { type ErrorCode, TunesmithError } from '../../errors/index.ts';
import { openRecords } from '../read.ts';
import type { RawRecord } from '../records.ts';
import type { Fields } from '../shapes.ts';
import { openRecordWriter } from '../write.ts';
import { longHash } from './hashes.ts';
import { type PersonalMode, type Pseudonyms, repairRecord, restorePersonal } from './repair.ts';

/** How a file is mended. */
export interface FixOptions {
  readonly out: string;
  readonly personal?: PersonalMode | undefined;
  readonly pseudonyms?: Pseudonyms | undefined;
  /** Lines of the file that are left out, with the codes for which. */
  readonly drop: ReadonlyMap<number, ErrorCode>;
  readonly signal?: AbortSignal | undefined;
}

/** One line of a log: what was done to a record, and what it was. */
export interface FixEntry {
  /** Record of the file, from 1, blank lines not counted. */
  readonly record: number;
  /** The line at which it began. */
  readonly line: number;
  readonly codes: readonly ErrorCode[];
  readonly why: readonly string[];
  readonly dropped: boolean;
  /** What it was; left out where personal data was redacted, which nothing brings back. */
  readonly before?: unknown;
}

/** The first line of a log. */
export interface FixHead {
  readonly version: 1;
  readonly file: string;
  readonly out: string;
  /** Of the file that was written. */
  readonly sha256: string;
  readonly records: number;
  readonly written: number;
  readonly personal: PersonalMode | 'kept';
}

/** What was done. */
export interface FixResult {
  readonly head: Omit<FixHead, 'sha256'>;
  readonly entries: readonly FixEntry[];
  /** Records by the reason for which they were changed or left out. */
  readonly counts: ReadonlyMap<ErrorCode, number>;
}

/**
 * Writes a file mended: exact copies left out, encodings repaired, control characters taken out, roles named as ours, personal data replaced
 * if asked. The file itself is only read. Records that cannot be read are left out where `drop` names them, and refused otherwise.
 *
 * @throws FILE_NOT_FOUND, DATA_FILE_TYPE, DATA_JSON, DISK_FULL, FILE_WRITE_FAILED
 */
export async function fixFile(file: string, options: FixOptions): Promise<FixResult> {
  const { out, personal, signal } = options;
  const writer = openRecordWriter(out);
  const entries: FixEntry[] = [];
  const counts = new Map<ErrorCode, number>();
  const seen = new Map<number, number>();
  let [records, written] = [0, 0];
  try {
    for await (const raw of openRecords(file).records) {
      signal?.throwIfAborted();
      const { value, entry } = fixRecord(raw, { file, record: ++records, seen }, options);
      if (entry !== undefined) {
        entries.push(entry);
        for (const code of new Set(entry.codes)) counts.set(code, (counts.get(code) ?? 0) + 1);
      }
      if (value === undefined) continue;
      writer.write(value);
      written++;
    }
    writer.commit();
  } finally {
    writer.discard();
  }
  return { head: { version: 1, file, out, records, written, personal: personal ?? 'kept' }, entries, counts };
}

/** What becomes of a record (undefined: left out), and what the log says of it. */
function fixRecord(
  raw: RawRecord,
  at: { readonly file: string; readonly record: number; readonly seen: Map<number, number> },
  { personal, pseudonyms, drop }: FixOptions,
): { readonly value?: Fields; readonly entry?: FixEntry } {
  const { line } = raw;
  const place = { record: at.record, line };
  const reason = drop.get(line);
  if ('code' in raw) {
    if (reason === undefined) throw unreadable(raw.code, raw.message, at.file, line);
    return { entry: { ...place, codes: [raw.code], why: [raw.message], dropped: true } };
  }
  if (typeof raw.value !== 'object' || raw.value === null || Array.isArray(raw.value)) {
    if (reason === undefined) throw unreadable('DATA_SHAPE_UNKNOWN', 'is no object.', at.file, line);
    return { entry: { ...place, codes: [reason], why: ['is no object'], dropped: true, before: raw.value } };
  }
  const { value, changes } = repairRecord(raw.value, { personal, pseudonyms });
  const before = personal === 'pseudonymise' ? hidden(raw.value, pseudonyms) : raw.value;
  const kept = personal === 'redact' ? {} : { before };
  const hash = longHash(JSON.stringify(value));
  const twin = at.seen.get(hash);
  if (twin !== undefined || reason !== undefined) {
    const code = reason ?? 'DATA_DUPLICATE';
    const why = reason === undefined ? `left out: the same as line ${twin}` : `left out for ${code}`;
    return { entry: { ...place, codes: [code], why: [why], dropped: true, ...kept } };
  }
  at.seen.set(hash, line);
  if (changes.length === 0) return { value: value as Fields };
  const [codes, why] = [changes.map((c) => c.code), changes.map((c) => c.why)];
  return { value: value as Fields, entry: { ...place, codes, why, dropped: false, ...kept } };
}

/** The record as it was but for its personal data, which only the key file holds. */
function hidden(value: unknown, pseudonyms: Pseudonyms | undefined): unknown {
  const { value: hiddenValue } = repairRecord(value, { personal: 'pseudonymise', pseudonyms, only: 'personal' });
  return hiddenValue;
}

function unreadable(code: ErrorCode, message: string, file: string, line: number): TunesmithError {
  return new TunesmithError(code, { message, file, line, fix: 'mend the line, or leave it out with --yes.' });
}

/**
 * The log as text: a head, then a line for each record that was changed.
 *
 * @param sha256 of the file that was written
 */
export function fixLogText({ head, entries }: FixResult, sha256: string): string {
  const first: FixHead = { ...head, sha256 };
  return [first, ...entries].map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Reads a log. @throws DATA_FIX_LOG */
export function parseFixLog(
  text: string,
  file: string,
): { readonly head: FixHead; readonly entries: readonly FixEntry[] } {
  const broken = (line: number, message: string) => new TunesmithError('DATA_FIX_LOG', { message, file, line });
  const values = text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line) as Fields];
    } catch {
      throw broken(i + 1, 'is not JSON.');
    }
  });
  const [head, ...entries] = values;
  if (head?.version !== 1 || typeof head.out !== 'string') throw broken(1, 'is not the head of a log of data fix.');
  for (const [i, entry] of entries.entries()) {
    if (!Number.isInteger(entry.record) || typeof entry.dropped !== 'boolean')
      throw broken(i + 2, 'is no entry of a log.');
  }
  return { head: head as unknown as FixHead, entries: entries as unknown as FixEntry[] };
}

/**
 * Writes the records as they were before `data fix`. Lines that were no JSON are not brought back, and are told.
 *
 * @returns how many records could not be restored
 * @throws DATA_FIX_LOG where personal data was redacted, or a key is missing
 */
export async function undoFix(
  { head, entries }: ReturnType<typeof parseFixLog>,
  {
    source,
    out,
    pseudonyms,
  }: { readonly source: string; readonly out: string; readonly pseudonyms: Pseudonyms | undefined },
): Promise<{ readonly restored: number; readonly lost: number }> {
  if (head.personal === 'redact') {
    throw new TunesmithError('DATA_FIX_LOG', {
      message: 'personal data was redacted, and nothing holds it any more.',
      fix: 'pseudonymise instead where it must come back: data fix --pii pseudonymise --key FILE',
    });
  }
  if (head.personal === 'pseudonymise' && pseudonyms === undefined) {
    throw new TunesmithError('DATA_FIX_LOG', {
      message: 'personal data has pseudonyms.',
      fix: '--key FILE that was written then',
    });
  }
  const changed = new Map(entries.map((entry) => [entry.record, entry]));
  const writer = openRecordWriter(out);
  let lost = 0;
  let record = 1;
  const put = (value: unknown) =>
    writer.write((pseudonyms === undefined ? value : restorePersonal(value, pseudonyms)) as Fields);
  const putDropped = () => {
    for (let entry = changed.get(record); entry?.dropped === true; entry = changed.get(++record)) {
      if (typeof entry.before === 'object' && entry.before !== null) put(entry.before);
      else lost++;
    }
  };
  try {
    for await (const raw of openRecords(source).records) {
      if ('code' in raw) throw new TunesmithError(raw.code, { message: raw.message, file: source, line: raw.line });
      putDropped();
      put(changed.get(record)?.before ?? raw.value);
      record++;
    }
    putDropped();
    writer.commit();
  } finally {
    writer.discard();
  }
  return { restored: entries.length - lost, lost };
}
