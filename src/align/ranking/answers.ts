import { detect } from '../../data/formats/detect.ts';
import { readContent } from '../../data/formats/read-content.ts';
import { assertNoErrors, createFindingLog, type Fields, type FindingLog } from '../../data/index.ts';
import { type Complain, readMessages, readTools } from '../../data/messages.ts';
import { openFiles } from '../../data/open-files.ts';
import type { ErrorCode } from '../../errors/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import type { Message } from '../../text/index.ts';
import { itemId } from './log.ts';
import type { DrawnAnswer, RankingItem } from './types.ts';

/** Columns that hold the answers of a row. */
const ANSWERS = ['answers', 'completions', 'responses', 'generations'] as const;
/** Columns that hold what is asked. */
const PROMPTS = ['messages', 'prompt', 'instruction', 'question', 'input'] as const;

/** Most answers of a prompt that are shown side by side. */
export const MOST_ANSWERS = 6;

/**
 * Reads prompts with their answers: `{prompt, answers}` with texts, messages or `{text, by}` (also under completions, responses, generations), and rows
 * of preferences, whose two answers are judged anew.
 *
 * @throws FILE_NOT_FOUND, DATA_* with file and line
 */
export async function loadAnswers(file: string): Promise<RankingItem[]> {
  const log = createFindingLog();
  const items: RankingItem[] = [];
  const opened = openFiles([file]);
  for (const path of opened.paths) {
    let records = 0;
    for await (const record of opened.open(path).records) {
      records++;
      const source = { file: path, line: record.line };
      if ('code' in record) log.add({ code: record.code, ...source, message: record.message });
      else items.push(...readAnswers(record.value, source, log));
    }
    if (records === 0) log.add({ code: 'DATA_EMPTY_FILE', file: path, message: 'holds no rows.' });
  }
  assertNoErrors(log.groups());
  return items;
}

function readAnswers(
  value: unknown,
  source: { readonly file: string; readonly line: number },
  log: FindingLog,
): RankingItem[] {
  let failed = false;
  const complain: Complain = (code: ErrorCode, message, fix) => {
    if (log.add({ code, ...source, message, fix }) === 'error') failed = true;
  };
  const column = isRecord(value) ? ANSWERS.find((name) => Array.isArray(value[name])) : undefined;
  const item =
    isRecord(value) && column !== undefined ? readList(value, column, complain) : pair(value, source, complain);
  return item === undefined || failed ? [] : [item];
}

/** A prompt and the list of its answers. What is wrong is reported. */
export function readList(fields: Fields, column: string, complain: Complain): RankingItem | undefined {
  const asked = PROMPTS.map((name) => fields[name]).find((value) => value !== undefined && value !== null);
  const prompt =
    typeof asked === 'string'
      ? [{ role: 'user', content: asked } as const]
      : asked && readMessages(asked, { shareGpt: true }, complain);
  const tools = readTools(fields, complain);
  if (prompt === undefined || prompt === null || tools === undefined) {
    if (asked === undefined) complain('DATA_NO_QUESTION', 'has no prompt beside its answers.', 'add a column prompt.');
    return undefined;
  }
  const answers = (fields[column] as unknown[]).map((answer) => readAnswer(answer, column));
  if (answers.some((answer) => answer === undefined || answer.text.trim() === '')) {
    complain('DATA_EMPTY_ANSWER', `has something in ${column} that is no text of an answer.`);
    return undefined;
  }
  return distinctItem(
    prompt as readonly Message[],
    answers as DrawnAnswer[],
    tools === 'none' ? undefined : tools,
    complain,
  );
}

function readAnswer(value: unknown, column: string): DrawnAnswer | undefined {
  if (typeof value === 'string') return { text: value, by: column };
  const one: unknown = Array.isArray(value) ? value.at(-1) : value;
  if (!isRecord(one)) return undefined;
  const text = one.text ?? one.content ?? one.value;
  const by = [one.by, one.model].find((name) => typeof name === 'string') ?? column;
  return typeof text === 'string' ? { text, by: String(by) } : undefined;
}

/** A row that prefers one answer to another. */
function pair(
  value: unknown,
  source: { readonly file: string; readonly line: number },
  complain: Complain,
): RankingItem | undefined {
  const found = detect(value);
  const content = found.format === undefined ? undefined : readContent(value as Fields, found, source, {}, complain);
  if (found.format !== undefined && content === undefined) return undefined;
  if (content?.kind !== 'preference' || content.chosen.length !== 1 || content.rejected.length !== 1) {
    complain('DATA_PREFERENCE', 'has no answers to be judged.', 'give rows {"prompt": ..., "answers": [...]}.');
    return undefined;
  }
  const { prompt, chosen, rejected, tools } = content;
  const answers = [
    { text: chosen[0]!.content, by: 'chosen' },
    { text: rejected[0]!.content, by: 'rejected' },
  ];
  return distinctItem(prompt, answers, tools, complain);
}

function distinctItem(
  prompt: readonly Message[],
  given: readonly DrawnAnswer[],
  tools: RankingItem['tools'],
  complain: Complain,
): RankingItem | undefined {
  const answers = distinctAnswers(given);
  if (answers.length > MOST_ANSWERS) {
    complain(
      'DATA_PREFERENCE',
      `has ${answers.length} answers, more than the ${MOST_ANSWERS} that are shown at once.`,
      'remove some of them.',
    );
    return undefined;
  }
  const id = itemId(
    prompt,
    answers.map(({ text }) => text),
  );
  return { id, prompt, answers, ...(tools === undefined ? {} : { tools }) };
}

/** Answers whose texts differ, each with who gave it first. */
export function distinctAnswers(answers: readonly DrawnAnswer[]): DrawnAnswer[] {
  const seen = new Set<string>();
  return answers.filter(({ text }) => {
    const key = text.trim();
    if (key === '' || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
