import { createFindingLog, type FindingGroup, type LoadedFile, type Row, type RowSource } from '../../data/index.ts';
import type { Complain } from '../../data/messages.ts';
import { normalise } from '../../data/normalise.ts';
import { openFiles } from '../../data/open-files.ts';
import { type Fields, kindOf, present } from '../../data/shapes.ts';
import type { ErrorCode } from '../../errors/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import { IGNORE } from '../../text/index.ts';
import type { PreferenceOptions } from '../rows.ts';

/** A prompt that the model answers in training, and what its row says of right answers. */
export interface OnlinePrompt {
  /** The prompt alone. */
  readonly row: Row;
  /** Right answers, as verifiers compare with them. */
  readonly references: readonly string[];
  /** A whole right answer, as a model would write it. */
  readonly gold: string | undefined;
  /** All columns of the row. */
  readonly fields: Fields;
}

/** Prompts and all that was found about them. */
export interface LoadedPrompts {
  readonly prompts: readonly OnlinePrompt[];
  readonly files: readonly LoadedFile[];
  readonly findings: readonly FindingGroup[];
}

/** Columns with what verifiers compare with, the first that there is. */
const REFERENCES = ['references', 'reference', 'answer', 'solution', 'ground_truth', 'completion'] as const;

/**
 * Reads prompts: {prompt | question | messages | prompt_ids} and right answers in `answer`, `references` and their like; the last message of an assistant is one too. All
 * columns stay, for rewards that want them.
 *
 * @throws FILE_NOT_FOUND, DATA_FILE_TYPE, CLI_OPTION_VALUE
 */
export async function loadPrompts(
  names: string | readonly string[],
  options: PreferenceOptions,
): Promise<LoadedPrompts> {
  const log = createFindingLog(options.allow);
  const opened = openFiles(names, { map: options.map });
  const prompts: OnlinePrompt[] = [];
  const files: LoadedFile[] = [];
  for (const path of opened.paths) {
    const file = opened.open(path);
    const own = { ...options, answers: 'optional', roles: { ...file.roles, ...options.roles } } as const;
    const before = prompts.length;
    let records = 0;
    for await (const record of file.records) {
      records++;
      const source = { file: path, line: record.line };
      if ('code' in record) {
        log.add({ code: record.code, ...source, message: record.message });
        continue;
      }
      let failed = false;
      const complain = (code: ErrorCode, message: string, fix?: string) => {
        if (log.add({ code, ...source, message, fix }) === 'error') failed = true;
      };
      const prompt = readPrompt(record.value, source, own, complain);
      if (prompt !== undefined && !failed) prompts.push(prompt);
    }
    if (records === 0) log.add({ code: 'DATA_EMPTY_FILE', file: path, message: 'holds no rows.' });
    files.push({ path, ...file.digest(), shape: undefined, rows: prompts.length - before });
  }
  opened.finish();
  return { prompts, files, findings: log.groups() };
}

type ReadOptions = Parameters<typeof normalise>[1];

function readPrompt(
  value: unknown,
  source: RowSource,
  options: ReadOptions,
  complain: Complain,
): OnlinePrompt | undefined {
  if (!isRecord(value)) {
    complain('DATA_PROMPT', `is ${kindOf(value)}, and no prompt.`);
    return undefined;
  }
  const row = rowOf(value, source, options, complain);
  if (row === undefined) return undefined;
  const given = REFERENCES.find((name) => present(value, name));
  const references = given === undefined ? [] : textsOf(value[given]);
  const last = row.kind === 'messages' ? row.messages.at(-1) : undefined;
  const said = last?.role === 'assistant' ? last.content : undefined;
  const completion = typeof value.completion === 'string' ? value.completion : undefined;
  const gold = said ?? completion ?? references[0];
  return {
    row: said !== undefined && row.kind === 'messages' ? { ...row, messages: row.messages.slice(0, -1) } : row,
    references: references.length === 0 && said !== undefined ? [said] : references,
    gold,
    fields: value,
  };
}

function rowOf(fields: Fields, source: RowSource, options: ReadOptions, complain: Complain): Row | undefined {
  if (present(fields, 'prompt_ids')) {
    const ids = fields.prompt_ids;
    const row = { input_ids: ids, labels: Array.isArray(ids) ? ids.map(() => IGNORE) : ids };
    return normalise({ fields: row, shape: 'input_ids', source }, options, complain);
  }
  if (present(fields, 'messages')) return normalise({ fields, shape: 'messages', source }, options, complain);
  const column = ['prompt', 'question', 'input'].find((name) => present(fields, name));
  if (column === undefined) {
    const columns = Object.keys(fields).slice(0, 12).join(', ') || 'no columns';
    complain('DATA_PROMPT', `holds ${columns}, and no prompt.`);
    return undefined;
  }
  const { system, tools } = fields;
  const own = {
    prompt: fields[column],
    ...(Array.isArray(fields[column]) ? {} : { completion: '' }),
    ...(system === undefined ? {} : { system }),
    ...(tools === undefined ? {} : { tools }),
  };
  return normalise({ fields: own, shape: 'prompt/completion', source }, options, complain);
}

function textsOf(value: unknown): string[] {
  return [value].flat().flatMap((one) => (typeof one === 'string' || typeof one === 'number' ? [String(one)] : []));
}
