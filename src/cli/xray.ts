import { withSystem } from '../data/conversation.ts';
import type { FindingLog } from '../data/index.ts';
import {
  contentRow,
  loadRows,
  type OnLong,
  type ReadOptions,
  type ReadProgress,
  type Row,
  readRows,
} from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import type { OpenedText } from '../evaluate/open.ts';
import { type XrayExample, xrayRow } from '../evaluate/xray.ts';
import { specialTexts } from '../text/index.ts';

/** Which rows are looked at, and how they are fitted. */
export interface LookOptions {
  readonly reading: ReadOptions;
  readonly log: FindingLog;
  readonly rows: number;
  readonly from: number;
  readonly maxLength: number | undefined;
  readonly onLong: OnLong;
  readonly pack: boolean;
  readonly system: string | undefined;
  readonly onProgress: (progress: ReadProgress) => void;
}

/** Rows of files as a model sees them, from the row of that number on. */
export async function lookAtRows(
  files: readonly string[],
  opened: OpenedText,
  options: LookOptions,
): Promise<XrayExample[]> {
  const { text, source } = opened;
  const maxLength = options.maxLength ?? source.config.maxPositions;
  if (maxLength > source.config.maxPositions) {
    const message = `--max-length ${maxLength} is more than the ${source.config.maxPositions} positions of the model.`;
    throw new TunesmithError('CLI_OPTION_VALUE', { message });
  }
  const examples: XrayExample[] = [];
  let seen = 0;
  for await (const row of rowsOf(files, opened, options)) {
    if (++seen < options.from) continue;
    if (seen >= options.from + options.rows) break;
    examples.push(...xrayRow(row, text, { maxLength, onLong: options.onLong, pack: options.pack }));
  }
  return examples;
}

async function* rowsOf(
  files: readonly string[],
  { text, system: own }: OpenedText,
  options: LookOptions,
): AsyncGenerator<Row> {
  const { reading, log, onProgress } = options;
  const system = options.system ?? own;
  if (text.format === 'raw') {
    // Pairs are raw text here, which only the loader of training makes of them.
    const { map, roles } = reading;
    const specialTokens = text.tokenizer === undefined ? [] : specialTexts(text.tokenizer);
    const loaded = await loadRows(files, { format: 'raw', map, roles, specialTokens, system });
    yield* loaded.rows;
    return;
  }
  for await (const { content, source } of readRows(files, reading, { log, onProgress })) {
    const row = contentRow(content, source);
    yield row.kind === 'messages' ? { ...row, messages: withSystem(row.messages, system) } : row;
  }
}
