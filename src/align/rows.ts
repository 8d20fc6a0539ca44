import type { ColumnMap } from '../data/columns.ts';
import {
  createFindingLog,
  type FindingGroup,
  type FindingLog,
  type LoadedFile,
  type Row,
  type RowSource,
} from '../data/index.ts';
import type { Complain } from '../data/messages.ts';
import { type NormaliseOptions, normalise } from '../data/normalise.ts';
import { openFiles } from '../data/open-files.ts';
import { type Fields, kindOf, present } from '../data/shapes.ts';
import type { ErrorCode } from '../errors/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { IGNORE } from '../text/index.ts';
import { isRankingHead } from './ranking/log.ts';
import { openRankedRows, type RankedAs } from './ranking/records.ts';

/** A row of preferences: two answers to one prompt of which one is better, several from the best to the worst, or one that is good or not, or not marked. */
export type PreferenceRow = { readonly source: RowSource } & (
  | { readonly kind: 'pair'; readonly chosen: Row; readonly rejected: Row; readonly margin?: number }
  | { readonly kind: 'ranked'; readonly answers: readonly Row[] }
  | { readonly kind: 'single'; readonly answer: Row }
  | { readonly kind: 'marked'; readonly answer: Row; readonly isGood: boolean }
);

/** How files of preferences are read. */
export interface PreferenceOptions extends NormaliseOptions {
  readonly allow: readonly string[];
  readonly map: ColumnMap;
  /** Whether pairs may say by how much one answer is better, in a column `margin`. */
  readonly margins?: boolean | undefined;
  /** Whether answers that are not marked are rows too. */
  readonly singles?: boolean | undefined;
  /** What becomes of the judgements of tunesmith prefer; pairs if not given. */
  readonly rankedAs?: RankedAs | undefined;
}

/** Rows and all that was found about them. */
export interface LoadedPreferences {
  readonly rows: readonly PreferenceRow[];
  readonly files: readonly LoadedFile[];
  readonly findings: readonly FindingGroup[];
}

/**
 * Reads preferences: TRL's {prompt?, chosen, rejected} of text or messages, OpenAI's {input, preferred_output, non_preferred_output}, {prompt, completion,
 * label}, {prompt, ranked: [best, ..., worst]}, ids, {prompt_ids, chosen_ids, rejected_ids}, {prompt_ids, completion_ids, label} or
 * {prompt_ids, ranked_ids}, and files of tunesmith prefer.
 *
 * @throws FILE_NOT_FOUND, DATA_FILE_TYPE, CLI_OPTION_VALUE
 */
export async function loadPreferences(
  names: string | readonly string[],
  options: PreferenceOptions,
): Promise<LoadedPreferences> {
  const log = createFindingLog(options.allow);
  const opened = openFiles(names, { map: options.map });
  const rows: PreferenceRow[] = [];
  const files: LoadedFile[] = [];
  const seen = new Map<string, RowSource>();
  const ignored = new Map<string, RowSource>();
  for (const path of opened.paths) {
    const file = opened.open(path);
    const own = { ...options, roles: { ...file.roles, ...options.roles } };
    const before = rows.length;
    let records = 0;
    let ranked: ReturnType<typeof openRankedRows> | undefined;
    for await (const record of file.records) {
      records++;
      const source = { file: path, line: record.line };
      if (records === 1 && 'value' in record && isRankingHead(record.value))
        ranked = openRankedRows(options.rankedAs ?? 'pairs', log);
      if (ranked !== undefined) ranked.take(record, path);
      else if ('code' in record) log.add({ code: record.code, ...source, message: record.message });
      else rows.push(...noted(readRecord(record.value, source, own, log, ignored), seen, log));
    }
    for (const { source, fields } of ranked?.rows(path) ?? []) {
      rows.push(...noted(readRecord(fields, source, own, log, ignored), seen, log));
    }
    if (records === 0) log.add({ code: 'DATA_EMPTY_FILE', file: path, message: 'holds no rows.' });
    files.push({ path, ...file.digest(), shape: undefined, rows: rows.length - before });
  }
  opened.finish();
  const [first] = ignored.values();
  if (first !== undefined) {
    const message = `columns that are not used: ${[...ignored.keys()].slice(0, 20).join(', ')}.`;
    log.add({ code: 'DATA_COLUMN_IGNORED', ...first, message });
  }
  return { rows, files, findings: log.groups() };
}

function noted(row: PreferenceRow | undefined, seen: Map<string, RowSource>, log: FindingLog): PreferenceRow[] {
  if (row === undefined) return [];
  const key = JSON.stringify(row, (name, value: unknown) => (name === 'source' ? undefined : value));
  const twin = seen.get(key);
  if (twin === undefined) seen.set(key, row.source);
  else log.add({ code: 'DATA_DUPLICATE', ...row.source, message: `is the same as ${twin.file}:${twin.line}.` });
  return [row];
}

/** Columns by the shape that they make. */
const SHAPES = [
  { needs: ['chosen_ids', 'rejected_ids'], uses: ['prompt_ids', 'margin'], read: idPair },
  { needs: ['ranked_ids'], uses: ['prompt_ids'], read: rankedIds },
  { needs: ['ranked'], uses: ['prompt', 'system', 'tools'], read: ranked },
  { needs: ['completion_ids', 'label'], uses: ['prompt_ids'], read: markedIds },
  { needs: ['preferred_output', 'non_preferred_output'], uses: ['input'], read: openAiPair },
  { needs: ['chosen', 'rejected'], uses: ['prompt', 'system', 'tools', 'margin'], read: pair },
  { needs: ['completion', 'label'], uses: ['prompt', 'system', 'tools'], read: marked },
] as const;

/** Answers that nobody judged. */
const SINGLES = [
  { needs: ['completion'], uses: ['prompt', 'system', 'tools'], read: single },
  { needs: ['messages'], uses: ['tools'], read: conversation },
] as const;

type ReadOptions = NormaliseOptions & Pick<PreferenceOptions, 'margins' | 'singles'>;

interface Reading {
  readonly fields: Fields;
  readonly source: RowSource;
  readonly options: ReadOptions;
  readonly complain: Complain;
}

function readRecord(
  value: unknown,
  source: RowSource,
  options: ReadOptions,
  log: FindingLog,
  ignored: Map<string, RowSource>,
): PreferenceRow | undefined {
  let failed = false;
  const complain = (code: ErrorCode, message: string, fix?: string) => {
    if (log.add({ code, ...source, message, fix }) === 'error') failed = true;
  };
  const known = options.singles === true ? [...SHAPES, ...SINGLES] : SHAPES;
  const shape = isRecord(value) ? known.find(({ needs }) => needs.every((name) => present(value, name))) : undefined;
  if (shape === undefined || !isRecord(value)) {
    const columns = isRecord(value) ? Object.keys(value).slice(0, 12).join(', ') : kindOf(value);
    complain('DATA_PREFERENCE', `holds ${columns || 'no columns'}, and no preference.`);
    return undefined;
  }
  const used: readonly string[] = [...shape.needs, ...shape.uses].filter(
    (name) => name !== 'margin' || options.margins === true,
  );
  for (const name of Object.keys(value)) if (!used.includes(name) && !ignored.has(name)) ignored.set(name, source);
  const row = shape.read({ fields: value, source, options, complain });
  return failed ? undefined : row;
}

function idPair({ fields, ...rest }: Reading): PreferenceRow | undefined {
  const chosen = ids(fields, 'chosen_ids', rest);
  const rejected = ids(fields, 'rejected_ids', rest);
  return chosen && rejected && { source: rest.source, kind: 'pair', chosen, rejected, ...margin(fields, rest) };
}

/** By how much the chosen answer is better, where that is said and wanted. */
function margin({ margin: value }: Fields, { options, complain }: Omit<Reading, 'fields'>): { margin?: number } {
  if (options.margins !== true || value === undefined || value === null) return {};
  if (typeof value === 'number' && Number.isFinite(value)) return { margin: value };
  complain('DATA_PREFERENCE', `margin is ${JSON.stringify(value)?.slice(0, 40)}, not a number.`);
  return {};
}

function rankedIds({ fields, ...rest }: Reading): PreferenceRow | undefined {
  return list(fields, 'ranked_ids', rest, (one) => ids({ ...fields, ranked_ids: one }, 'ranked_ids', rest));
}

function ranked({ fields, ...rest }: Reading): PreferenceRow | undefined {
  if (!present(fields, 'prompt')) {
    rest.complain('DATA_PREFERENCE', 'has no prompt before its answers.');
    return undefined;
  }
  const read = (one: unknown) => answerRow({ ...fields, ranked: one }, 'ranked', { ...rest, fields });
  return list(fields, 'ranked', rest, read);
}

function list(
  fields: Fields,
  column: string,
  { source, complain }: Omit<Reading, 'fields'>,
  read: (answer: unknown) => Row | undefined,
): PreferenceRow | undefined {
  const all = fields[column];
  if (!Array.isArray(all) || all.length < 2) {
    const found = Array.isArray(all) ? `${all.length} answers` : kindOf(all);
    complain('DATA_PREFERENCE', `${column} is ${found} where an array of at least two is expected, the best first.`);
    return undefined;
  }
  const answers = all.flatMap((one) => read(one) ?? []);
  return answers.length === all.length ? { source, kind: 'ranked', answers } : undefined;
}

function single(reading: Reading): PreferenceRow | undefined {
  const answer = answerRow(reading.fields, 'completion', reading);
  return answer && { source: reading.source, kind: 'single', answer };
}

function conversation({ fields, source, options, complain }: Reading): PreferenceRow | undefined {
  const answer = normalise({ fields, shape: 'messages', source }, options, complain);
  return answer && { source, kind: 'single', answer };
}

function markedIds({ fields, ...rest }: Reading): PreferenceRow | undefined {
  const answer = ids(fields, 'completion_ids', rest);
  const isGood = mark(fields, rest.complain);
  if (answer === undefined || isGood === undefined) return undefined;
  return { source: rest.source, kind: 'marked', answer, isGood };
}

function ids(fields: Fields, column: string, { source, options, complain }: Omit<Reading, 'fields'>): Row | undefined {
  for (const name of ['prompt_ids', column]) {
    const list = fields[name];
    if (Array.isArray(list) && list.length > 0) continue;
    if (!Array.isArray(list)) complain('DATA_IDS', `${name} is ${kindOf(list)} where an array is expected.`);
    else if (name === column) complain('DATA_EMPTY_ANSWER', `${name} holds no token.`);
    else complain('DATA_EMPTY_TEXT', `${name} holds no token.`, 'begin with the token that begins a text.');
    return undefined;
  }
  const [prompt, answer] = [fields.prompt_ids as unknown[], fields[column] as unknown[]];
  const row = { input_ids: [...prompt, ...answer], labels: [...prompt.map(() => IGNORE), ...answer] };
  return normalise({ fields: row, shape: 'input_ids', source }, options, complain);
}

function openAiPair({ fields, ...rest }: Reading): PreferenceRow | undefined {
  const { input } = fields;
  const messages: unknown = isRecord(input) ? input.messages : undefined;
  if (!isRecord(input) || !Array.isArray(messages)) {
    rest.complain('DATA_PREFERENCE', 'has no messages in its column input.');
    return undefined;
  }
  const tools = present(input, 'tools') ? { tools: input.tools } : {};
  const { preferred_output: chosen, non_preferred_output: rejected } = fields;
  return pair({ ...rest, fields: { ...tools, prompt: messages, chosen, rejected } });
}

function pair(reading: Reading): PreferenceRow | undefined {
  const { fields, source, complain } = reading;
  const parts = Array.isArray(fields.prompt) || !Array.isArray(fields.chosen) ? fields : withoutPrompt(fields);
  if (parts === undefined) {
    complain('DATA_PREFERENCE', 'has chosen and rejected conversations that differ before the last message.');
    return undefined;
  }
  if (!present(parts, 'prompt') && reading.options.format === 'chat') {
    const fix = 'add a column prompt, or train with --format raw.';
    complain('DATA_PREFERENCE', 'has texts without a prompt, which no chat turn can be made of.', fix);
    return undefined;
  }
  const whole = present(parts, 'prompt') ? parts : splitTexts(parts, complain);
  if (whole === undefined) return undefined;
  const chosen = answerRow(whole, 'chosen', { ...reading, fields: whole });
  const rejected = answerRow(whole, 'rejected', { ...reading, fields: whole });
  return chosen && rejected && { source, kind: 'pair', chosen, rejected, ...margin(fields, reading) };
}

/** Conversations that hold their prompt: all but the last message, the same in both. */
function withoutPrompt(fields: Fields): Fields | undefined {
  const { chosen, rejected } = fields;
  if (!Array.isArray(chosen) || !Array.isArray(rejected)) return undefined;
  const prompt = chosen.slice(0, -1);
  if (JSON.stringify(prompt) !== JSON.stringify(rejected.slice(0, -1))) return undefined;
  return { ...fields, prompt, chosen: chosen.slice(-1), rejected: rejected.slice(-1) };
}

/** Texts that hold their prompt: as far as they agree, without a blank before the difference. */
function splitTexts(fields: Fields, complain: Complain): Fields | undefined {
  const { chosen, rejected } = fields;
  if (typeof chosen !== 'string' || typeof rejected !== 'string') {
    complain('DATA_PREFERENCE', `has ${kindOf(chosen)} and ${kindOf(rejected)} where two texts are expected.`);
    return undefined;
  }
  let at = 0;
  while (at < chosen.length && chosen[at] === rejected[at]) at++;
  if (at > 0 && chosen[at - 1] === ' ') at--;
  return { ...fields, prompt: chosen.slice(0, at), chosen: chosen.slice(at), rejected: rejected.slice(at) };
}

function marked(reading: Reading): PreferenceRow | undefined {
  const { fields, source, complain } = reading;
  const isGood = mark(fields, complain);
  if (!present(fields, 'prompt')) complain('DATA_PREFERENCE', 'has no prompt before its completion.');
  else if (isGood !== undefined) {
    const answer = answerRow(fields, 'completion', reading);
    return answer && { source, kind: 'marked', answer, isGood };
  }
  return undefined;
}

/** A prompt and one of its answers as rows of sft have them. */
function answerRow(fields: Fields, column: string, { source, options, complain }: Reading): Row | undefined {
  const answer = fields[column];
  if (Array.isArray(answer) && answer.length !== 1) {
    complain('DATA_PREFERENCE', `${column} has ${answer.length} messages where one answer is expected.`);
    return undefined;
  }
  const { system, tools, prompt } = fields;
  const only: unknown = Array.isArray(answer) && !Array.isArray(prompt) ? (answer as Fields[])[0]?.content : answer;
  const own = {
    prompt,
    completion: only,
    ...(system === undefined ? {} : { system }),
    ...(tools === undefined ? {} : { tools }),
  };
  return normalise({ fields: own, shape: 'prompt/completion', source }, options, complain);
}

function mark({ label }: Fields, complain: Complain): boolean | undefined {
  if (label === true || label === 1) return true;
  if (label === false || label === 0) return false;
  complain('DATA_PREFERENCE', `label is ${JSON.stringify(label)?.slice(0, 40)}, not true or false.`);
  return undefined;
}
