import { detect } from '../../data/formats/detect.ts';
import { readContent } from '../../data/formats/read-content.ts';
import {
  assertNoErrors,
  type Content,
  createFindingLog,
  type Fields,
  type FindingLog,
  type RowSource,
} from '../../data/index.ts';
import type { Complain } from '../../data/messages.ts';
import { openFiles } from '../../data/open-files.ts';
import type { ErrorCode } from '../../errors/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import type { Message } from '../../text/index.ts';
import { readList } from './answers.ts';
import { type ImportedItem, readArgilla } from './argilla.ts';
import { itemId } from './log.ts';
import type { RankingItem } from './types.ts';

/**
 * Reads judgements that were made elsewhere: rows of TRL (pairs and KTO), of OpenAI, of LLaMA-Factory, of Argilla and distilabel, `{prompt, ranked}`, and
 * what /good, /bad and /fix of `chat` wrote. Kinds may be mixed in one file.
 *
 * @throws FILE_NOT_FOUND, DATA_* with file and line
 */
export async function loadJudgements(files: readonly string[]): Promise<ImportedItem[]> {
  const log = createFindingLog();
  const items: ImportedItem[] = [];
  const opened = openFiles(files);
  for (const path of opened.paths) {
    let records = 0;
    for await (const record of opened.open(path).records) {
      records++;
      const source = { file: path, line: record.line };
      if ('code' in record) log.add({ code: record.code, ...source, message: record.message });
      else items.push(...readRow(record.value, source, log));
    }
    if (records === 0) log.add({ code: 'DATA_EMPTY_FILE', file: path, message: 'holds no rows.' });
  }
  assertNoErrors(log.groups());
  return items;
}

function readRow(value: unknown, source: RowSource, log: FindingLog): ImportedItem[] {
  let failed = false;
  const complain: Complain = (code: ErrorCode, message, fix) => {
    if (log.add({ code, ...source, message, fix }) === 'error') failed = true;
  };
  const own = readArgilla(value) ?? rankedRow(value, complain);
  if (own !== undefined) return failed ? [] : [own];
  const found = failed ? undefined : detect(value);
  if (found === undefined) return [];
  const content = found.format === undefined ? undefined : readContent(value as Fields, found, source, {}, complain);
  const item = content === undefined ? undefined : contentItem(content);
  if (item === undefined && !failed)
    complain('DATA_PREFERENCE', 'judges no answer.', 'tunesmith prefer FILE lets people judge it.');
  return item === undefined || failed ? [] : [item];
}

/** `{prompt, ranked: [best, ..., worst]}`. */
function rankedRow(value: unknown, complain: Complain): ImportedItem | undefined {
  if (!isRecord(value) || !Array.isArray(value.ranked)) return undefined;
  const item = readList(value, 'ranked', complain);
  if (item === undefined) return undefined;
  return {
    item,
    opinions: [{ rater: undefined, opinion: { ranking: { groups: item.answers.map((_, at) => [at]) } } }],
  };
}

function contentItem(content: Content): ImportedItem | undefined {
  if (content.kind === 'preference') {
    const texts = [content.chosen, content.rejected].map(onlyText);
    if (texts.some((text) => text === undefined)) return undefined;
    const answers = [
      { text: texts[0]!, by: 'chosen' },
      { text: texts[1]!, by: 'rejected' },
    ];
    return {
      item: itemOf(content, answers),
      opinions: [{ rater: undefined, opinion: { ranking: { groups: [[0], [1]] } } }],
    };
  }
  if (content.kind !== 'unpaired') return undefined;
  const text = onlyText(content.completion);
  if (text === undefined) return undefined;
  const opinion = content.good ? { good: [0], bad: [] } : { good: [], bad: [0] };
  return { item: itemOf(content, [{ text, by: 'completion' }]), opinions: [{ rater: undefined, opinion }] };
}

/** The text of an answer that is one message of text. */
function onlyText(messages: readonly Message[]): string | undefined {
  const [only] = messages;
  return messages.length === 1 && only !== undefined && only.content.trim() !== '' ? only.content : undefined;
}

function itemOf(
  { prompt, tools }: Content & { kind: 'preference' | 'unpaired' },
  answers: RankingItem['answers'],
): RankingItem {
  const id = itemId(
    prompt,
    answers.map(({ text }) => text),
  );
  return { id, prompt, answers, ...(tools === undefined ? {} : { tools }) };
}
