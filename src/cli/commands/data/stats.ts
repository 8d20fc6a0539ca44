import {
  assertNoErrors,
  collectStats,
  type DataStats,
  formatFindings,
  readRows,
  type Spread,
} from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { openTextOf } from '../../../evaluate/open.ts';
import { rowRenderer } from '../../../train/rows.ts';
import { defineCommand } from '../../command.ts';
import { dataReading, openByteProgress, readOptions, tellFormat } from '../../data.ts';
import { countText, table } from '../../format.ts';
import { dataFiles } from '../../hub-data.ts';
import { modelOptions, requestModel } from '../../models.ts';

/** `tunesmith data stats`. */
export const stats = defineCommand({
  name: 'data stats',
  summary:
    'Counts rows, turns, languages and labels, and with a model tokens: how long rows are, what is trained, what would be cut.',
  positionals: ['FILE...'],
  options: {
    model: modelOptions.model,
    'max-length': {
      type: 'integer',
      value: 'N',
      description: 'with --model: count what is longer (default: what the model can read)',
    },
    ...readOptions,
  },
  examples: ['data stats train.jsonl', 'data stats train.jsonl --model smollm2-135m-instruct --max-length 512'],
  async run({ options, positionals: names }, context) {
    const positionals = await dataFiles(names, context);
    const { terminal, signal } = context;
    const { model } = options;
    if (model === undefined && options['max-length'] !== undefined) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', {
        message: '--max-length is a number of tokens, which needs --model.',
      });
    }
    const { options: reading, log } = dataReading(options);
    const collector = collectStats(model === undefined ? undefined : await tokensOf(model));
    const progress = openByteProgress(terminal, 'counting', 'adding up');
    const events = { log, onFormat: tellFormat(terminal), onProgress: progress.update };
    try {
      for await (const { content, source } of readRows(positionals, reading, events)) {
        signal.throwIfAborted();
        try {
          collector.add(content, source);
        } catch (error) {
          if (!(error instanceof TunesmithError)) throw error;
          const { message, fix } = error.details;
          log.add({ code: error.code, ...source, message, fix });
        }
      }
    } finally {
      progress.stop();
    }
    const findings = log.groups();
    const result = collector.finish();
    if (findings.length > 0) terminal.say(formatFindings(findings));
    if (result.rows === 0) assertNoErrors(findings);
    terminal.emit({ type: 'stats', ...result });
    terminal.print(statsText(result));
    return 0;

    async function tokensOf(name: string) {
      const { source, text } = openTextOf(await requestModel(name, {}, context), { allow: options.allow });
      return { render: rowRenderer(text, 'train'), maxLength: options['max-length'] ?? source.config.maxPositions };
    }
  },
});

/** Names of labels and languages that are shown. */
const SHOWN = 12;

/** The figures for people. */
function statsText(stats: DataStats): string {
  const { rows, tokens } = stats;
  const share = (n: number, of: number) => `${((100 * n) / Math.max(1, of)).toFixed(1)} %`;
  const lines = [`${countText(rows)} rows`];
  if (stats.withSystem > 0)
    lines.push(`  with a system prompt: ${countText(stats.withSystem)} (${share(stats.withSystem, rows)})`);
  if (stats.withTools > 0) lines.push(`  with tools: ${countText(stats.withTools)} (${share(stats.withTools, rows)})`);
  const named = (title: string, counts: DataStats['labels']) => {
    if (counts.length === 0) return;
    const shown = counts.slice(0, SHOWN).map(([name, n]) => `${name} ${countText(n)} (${share(n, rows)})`);
    const more = counts.length > SHOWN ? `, and ${counts.length - SHOWN} more` : '';
    lines.push(`${title}: ${shown.join(', ')}${more}`);
  };
  named('languages', stats.languages);
  named(`labels (${stats.labels.length})`, stats.labels);
  const spreads: [string, Spread | undefined][] = [
    ['characters', stats.characters],
    ['turns', stats.turns],
    ['tokens', tokens?.length],
  ];
  const cells = spreads.flatMap(([name, s]) => (s === undefined ? [] : [[name, ...spreadCells(s)]]));
  if (cells.length > 0) lines.push('', table([['', 'least', 'median', 'mean', '90 %', '99 %', 'most'], ...cells]));
  if (tokens !== undefined) {
    lines.push(
      '',
      `${countText(tokens.total)} tokens, of which ${countText(tokens.supervised)} are trained (${share(tokens.supervised, tokens.total)})`,
      `${countText(tokens.long)} of ${countText(tokens.examples)} examples are longer than ${countText(tokens.maxLength)} tokens, by ${countText(tokens.beyond)} tokens (${share(tokens.beyond, tokens.total)})`,
    );
  }
  return lines.join('\n');
}

function spreadCells({ least, median, mean, p90, p99, most }: Spread): string[] {
  return [least, median, mean, p90, p99, most].map((value) => countText(value));
}
