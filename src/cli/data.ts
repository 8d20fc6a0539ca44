import { resolve } from 'node:path';
import { FORMATS, type Format } from '../data/formats/content.ts';
import {
  createFindingLog,
  type FileFormat,
  type FindingLog,
  type ReadOptions,
  type ReadProgress,
  readPairs,
} from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { fileExists } from '../io/index.ts';
import type { Role } from '../text/index.ts';
import type { OptionSpecs, Values } from './command.ts';
import { bytesText, countText, durationText } from './format.ts';
import { offlineOption } from './models.ts';
import { openProgress } from './progress.ts';
import { rowReading } from './prompts.ts';
import type { Terminal } from './terminal.ts';

/** Options of commands that read data files of any format. */
export const readOptions = {
  format: { type: 'string', choices: FORMATS, description: 'how the rows are read, where their columns do not say it' },
  map: {
    type: 'string',
    value: 'THEIRS=OURS,...',
    many: true,
    description: 'columns of the file as columns of ours, such as input=question',
  },
  role: { type: 'string', value: 'THEIRS=OURS', many: true, description: 'a role of the file, such as bot=assistant' },
  allow: { type: 'string', value: 'CODE', many: true, description: 'a data error code that is let pass' },
  offline: offlineOption,
} as const satisfies OptionSpecs;

/** The given values of {@link readOptions}. */
export type ReadFlags = Values<typeof readOptions>;

/** Reads them. @throws CLI_OPTION_VALUE */
export function dataReading(flags: ReadFlags): { readonly options: ReadOptions; readonly log: FindingLog } {
  const { roles = [], allow } = rowReading({
    ...(flags.role && { role: flags.role }),
    ...(flags.allow && { allow: flags.allow }),
  });
  const options: ReadOptions = {
    format: flags.format as Format | undefined,
    map: readPairs('map', flags.map ?? []),
    roles: Object.fromEntries(roles.map((pair) => pair.split('=') as [string, Role])),
  };
  return { options, log: createFindingLog(allow) };
}

/** Of every command that writes a file. */
export const outOptions = {
  out: {
    type: 'string',
    value: 'FILE',
    description: 'where the rows go: .jsonl, .json, .csv or .tsv, packed with .gz, or .parquet',
  },
  force: { type: 'boolean', description: 'overwrite what is there' },
} as const satisfies OptionSpecs;

/** The file to write. @throws CLI_ARGUMENT, FILE_EXISTS */
export function requireOut(out: string | undefined, force: boolean | undefined, inputs: readonly string[]): string {
  if (out === undefined) throw new TunesmithError('CLI_ARGUMENT', { message: 'no --out is given.', fix: '--out FILE' });
  requireFree(out, force, inputs);
  return out;
}

/** Refuses to write over an input, and over anything else unless told to. @throws FILE_EXISTS */
export function requireFree(file: string, force: boolean | undefined, inputs: readonly string[]): void {
  if (!fileExists(file)) return;
  const isInput = inputs.some((input) => resolve(input) === resolve(file));
  if (force === true && !isInput) return;
  const message = isInput ? 'is one of the files that are read.' : 'is there already.';
  throw new TunesmithError('FILE_EXISTS', {
    message,
    file,
    fix: isInput ? 'name another --out' : '--force overwrites it',
  });
}

/** Says how each file was recognised. */
export function tellFormat(terminal: Terminal): (file: FileFormat) => void {
  return ({ path, format, reason }) => {
    terminal.emit({ type: 'format', file: path, format, reason });
    if (!terminal.json) terminal.say(`${path}: ${format}, since ${reason}.`);
  };
}

/** Shows how much of some files is read, and the time left. */
export interface ByteProgress {
  update(drawn: ReadProgress): void;
  /** Says how much room the work takes on the disk. */
  tellSpace(space: { readonly bytes: number; readonly folder: string; readonly free: number }): void;
  stop(): void;
}

/** Milliseconds between two looks of a bar. */
const EVERY = 100;

/** Opens a bar for work that goes through files. @param last what happens once all is read, in words */
export function openByteProgress(terminal: Terminal, label: string, last = 'comparing them'): ByteProgress {
  const progress = openProgress(terminal, label);
  const since = Date.now();
  let told = 0;
  return {
    update: ({ rows, bytes, total }) => {
      const now = Date.now();
      const seconds = (now - since) / 1000;
      // What is done at once needs no bar.
      if (seconds < 1 || (now - told < EVERY && bytes < total)) return;
      told = now;
      const left = bytes === 0 ? 0 : (seconds / bytes) * (total - bytes);
      const rest = bytes >= total ? last : `${durationText(left)} left`;
      progress.update(bytes, total, `${countText(rows)} rows · ${rest}`);
    },
    tellSpace: ({ bytes, folder, free }) => {
      progress.say(
        `puts up to ${bytesText(bytes)} aside in ${folder} (${bytesText(free)} free) while rows are compared; it is taken away at the end.`,
      );
    },
    stop: () => progress.stop(),
  };
}

/** Opens a bar for work of which is known how many rows it has. */
export function openCountProgress(terminal: Terminal, label: string, total: number): { next(): void; stop(): void } {
  const bar = openByteProgress(terminal, label, 'finishing');
  let rows = 0;
  return { next: () => bar.update({ rows: ++rows, bytes: rows, total }), stop: bar.stop };
}
