import { assertNoErrors, formatFindings, type OnLong } from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { openTextOf } from '../../../evaluate/open.ts';
import type { XrayExample } from '../../../evaluate/xray.ts';
import { writeAtomic } from '../../../io/index.ts';
import { defineCommand } from '../../command.ts';
import { dataReading, openByteProgress, readOptions, requireFree } from '../../data.ts';
import { dataFiles } from '../../hub-data.ts';
import { modelOptions, requestModel } from '../../models.ts';
import { readSystem } from '../../prompts.ts';
import type { Terminal } from '../../terminal.ts';
import { lookAtRows } from '../../xray.ts';
import { xrayPage } from '../../xray-page.ts';
import { legendText, xrayText } from '../../xray-text.ts';

/** `tunesmith data xray`. */
export const xray = defineCommand({
  name: 'data xray',
  summary:
    'Shows rows as a model will see them: every token by what it is (trained, context, template, special, truncated, padding).',
  positionals: ['FILE...'],
  options: {
    model: modelOptions.model,
    rows: { type: 'integer', value: 'N', description: 'rows to show', default: '3' },
    from: { type: 'integer', value: 'N', description: 'the first row to show, counted from 1', default: '1' },
    'max-length': {
      type: 'integer',
      value: 'N',
      description: 'longest row in tokens (default: what the model can read)',
    },
    'on-long': {
      type: 'string',
      choices: ['trim-context', 'drop', 'error'],
      description: 'what happens to longer rows',
      default: 'trim-context',
    },
    pack: {
      type: 'boolean',
      negatable: true,
      default: 'true',
      description: 'compute rows without padding between them',
    },
    system: { type: 'string', value: 'TEXT|FILE', description: 'system prompt for rows without one' },
    html: { type: 'string', value: 'FILE', description: 'write a page instead, with the id of each token' },
    force: { type: 'boolean', description: 'overwrite the page' },
    ...readOptions,
  },
  examples: [
    'data xray train.jsonl --model smollm2-135m-instruct',
    'data xray train.jsonl --model @last --rows 20 --max-length 512 --html xray.html',
  ],
  notes:
    'Of a run (--model @last) the frozen template clock, system prompt and roles hold. NO_COLOR=1 marks with signs instead of colours.',
  async run({ options, positionals: names }, context) {
    const positionals = await dataFiles(names, context);
    const { terminal } = context;
    const { model, html } = options;
    if (model === undefined) {
      throw new TunesmithError('CLI_ARGUMENT', {
        message: 'no model is named: tokens are those of a model.',
        fix: '--model MODEL',
      });
    }
    for (const name of ['rows', 'from', 'max-length'] as const) {
      if ((options[name] ?? 1) >= 1) continue;
      throw new TunesmithError('CLI_OPTION_VALUE', { message: `--${name} is at least 1.` });
    }
    if (html !== undefined) requireFree(html, options.force, positionals);
    const { options: reading, log } = dataReading(options);
    const opened = openTextOf(await requestModel(model, {}, context), { allow: options.allow });
    const progress = openByteProgress(terminal, 'looking for the rows', 'showing them');
    const examples = await lookAtRows(positionals, opened, {
      onProgress: progress.update,
      ...{ reading, log, rows: options.rows ?? 3, from: options.from ?? 1, pack: options.pack ?? true },
      maxLength: options['max-length'],
      onLong: (options['on-long'] ?? 'trim-context') as OnLong,
      system: await readSystem(options.system),
    }).finally(progress.stop);
    const findings = log.groups();
    if (findings.length > 0) terminal.say(formatFindings(findings));
    if (examples.length === 0) assertNoErrors(findings);
    if (html !== undefined) {
      writeAtomic(html, xrayPage(examples, model));
      terminal.emit({ type: 'page', file: html });
      terminal.print(`${examples.length} rows in ${html}.`);
      return 0;
    }
    showExamples(examples, terminal);
    return 0;
  },
});

/** Prints the legend and the examples; for machines a line for each example. */
export function showExamples(examples: readonly XrayExample[], terminal: Terminal): void {
  for (const { source, example, of, tokens, counts, note } of examples) {
    terminal.emit({ type: 'xray', ...source, example, of, counts, note, tokens });
  }
  if (terminal.json) return;
  const kinds = new Set(examples.flatMap(({ tokens }) => tokens.map(({ kind }) => kind)));
  terminal.print(legendText(kinds, terminal));
  for (const one of examples) terminal.print(`\n${xrayText(one, terminal)}`);
}
