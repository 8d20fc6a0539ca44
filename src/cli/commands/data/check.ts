import {
  type CheckFinding,
  type CheckGroup,
  type CheckReport,
  checkFiles,
  checkPage,
} from '../../../data/check/index.ts';
import { createFindingLog, readPairs, SHAPES } from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { writeAtomic } from '../../../io/index.ts';
import { DEFAULT_MODEL } from '../../../model/catalogue.ts';
import { resolveRun } from '../../../registry/runs.ts';
import { trainedFiles } from '../../../registry/trajectories.ts';
import type { Role } from '../../../text/index.ts';
import { type Context, defineCommand } from '../../command.ts';
import { openByteProgress } from '../../data.ts';
import type { ModelRequest } from '../../domain.ts';
import { countText, table } from '../../format.ts';
import { dataFiles } from '../../hub-data.ts';
import { modelOptions, RUNS, requestModel } from '../../models.ts';
import { rowOptions, rowReading } from '../../prompts.ts';
import { openEvidence } from './evidence.ts';
import type { Inspect } from './inspect.ts';

/** Findings of a code that are quoted. */
const QUOTED = 5;

/** `tunesmith data check`. */
export const check = defineCommand({
  name: 'data check',
  summary: 'Finds what is wrong in data: form, encodings, duplicates, leaks, labels, personal data, secrets.',
  positionals: ['[FILE...]'],
  options: {
    model: { ...modelOptions.model, description: 'also look at the rows as this model will see them' },
    offline: modelOptions.offline,
    'max-length': {
      type: 'integer',
      value: 'N',
      description: 'tokens of the longest row, with --model (default: what the model can read)',
    },
    test: { type: 'string', value: 'FILE', many: true, description: 'rows that are held out: what leaks is found' },
    deep: {
      type: 'boolean',
      description:
        'let the model read every row: what is hard for it or known to it, what means the same or contradicts',
    },
    run: {
      type: 'string',
      value: 'RUN',
      description: 'also look at what rows lost in this run: unlearned, forgotten (default FILE: what it trained on)',
    },
    labels: { type: 'boolean', description: 'rows are to be classified: one without a label is an error' },
    shape: {
      type: 'string',
      choices: SHAPES,
      description: 'how rows are read that have the columns of several shapes',
    },
    ...rowOptions,
    strict: { type: 'boolean', description: 'exit with 3 where warnings remain, too' },
    html: { type: 'string', value: 'FILE', description: 'write the report as a page' },
  },
  examples: [
    'data check support.jsonl',
    'data check train.jsonl --test held-out.jsonl --model smollm2-135m-instruct',
    'data check train.jsonl --json --strict',
    'data check train.jsonl --deep --model smollm2-135m-instruct',
    'data check --run @last',
  ],
  notes: [
    'Errors make training wrong, or give secrets away; they stop `train`. Warnings should be mended. What is for review may be right.',
    'With --json each finding is a line {"code","severity","file","line","message","fix","related","quote"}; lines count from 1.',
    'With --deep or --run the last code, DATA_SUSPECT, is the queue of rows to look at, most evident first: likely mislabelled, contradictory or leaked.',
    'Exit code 0 if no error remains, 3 if some do. --allow CODE turns the errors of a code into warnings, as in train.',
  ].join('\n'),
  async run({ options, positionals: names }, context) {
    const { terminal, signal } = context;
    requireModel(options);
    const run = options.run === undefined ? undefined : resolveRun(options.run, RUNS).run;
    const positionals = await checkedFiles(names, run, context);
    const reading = rowReading(options);
    // Refuses a code that is none.
    createFindingLog(reading.allow);
    const roles = Object.fromEntries((reading.roles ?? []).map((pair) => pair.split('=') as [string, Role]));
    const model = options.model === undefined ? undefined : await requestModel(options.model, {}, context);
    const inspect = model === undefined ? undefined : await inspector(model, options['max-length']);
    const map = readPairs('map', reading.map ?? []);
    const shape = SHAPES.find((shape) => shape === options.shape);
    const sources = { files: positionals, heldOut: options.test ?? [], run, model: options.deep ? model : undefined };
    const progress = openByteProgress(terminal, 'checking');
    let report: CheckReport;
    try {
      report = await checkFiles(positionals, {
        roles,
        map,
        shape,
        allow: reading.allow,
        evidence: openEvidence(
          sources,
          { reading: { roles, map, shape }, allow: reading.allow ?? [] },
          context,
          progress,
        ),
        heldOut: options.test,
        labels: options.labels,
        inspect,
        signal,
        onProgress: progress.update,
        onSpace: progress.tellSpace,
      });
    } finally {
      progress.stop();
    }
    if (options.html !== undefined)
      writeAtomic(options.html, checkPage(report, `Data check of ${positionals.join(', ')}`));
    if (terminal.json)
      for (const { findings } of report.groups)
        for (const finding of findings) terminal.emit({ ...finding, line: finding.line ?? null });
    terminal.print(reportText(report));
    const blocking = report.groups.filter(
      (g) => g.severity === 'error' || (options.strict === true && g.severity === 'warning'),
    );
    return blocking.length > 0 ? 3 : 0;
  },
});

/** @throws CLI_OPTION_CONFLICT */
function requireModel(options: {
  readonly model?: string;
  readonly deep?: boolean;
  readonly 'max-length'?: number;
}): void {
  if (options.model !== undefined) return;
  const conflict = (message: string, fix: string) => new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
  if (options['max-length'] !== undefined)
    throw conflict('--max-length goes with --model, which counts tokens.', '--model MODEL');
  if (options.deep === true)
    throw conflict('--deep goes with --model, which reads the rows.', `--model ${DEFAULT_MODEL}`);
}

/** The files that are named, or those that a run trained on. @throws CLI_ARGUMENT */
async function checkedFiles(names: readonly string[], run: string | undefined, context: Context): Promise<string[]> {
  if (names.length > 0) return dataFiles(names, context);
  if (run !== undefined) return trainedFiles(run);
  throw new TunesmithError('CLI_ARGUMENT', {
    message: 'no data is named.',
    fix: 'tunesmith data check FILE, or --run RUN',
  });
}

async function inspector(model: ModelRequest, maxLength: number | undefined): Promise<Inspect> {
  const { openInspector } = await import('./inspect.ts');
  return openInspector(model, maxLength);
}

/** The report as text: a table of all codes, then each with its first findings and what mends it. */
export function reportText(report: CheckReport): string {
  const { groups, files, rows } = report;
  const counts = new Map<string, number>();
  for (const { severity, count } of groups) counts.set(severity, (counts.get(severity) ?? 0) + count);
  const total = [...counts].map(([severity, count]) => `${countText(count)} ${severity}${plural(severity, count)}`);
  const shapes = [...new Set(files.map((file) => file.shape ?? 'no known shape'))].join(', ');
  const head = `${countText(rows)} rows in ${files.length === 1 ? files[0]!.path : `${files.length} files`} (${shapes}): ${total.length === 0 ? 'nothing was found.' : `${total.join(', ')}.`}`;
  if (groups.length === 0) return head;
  const summary = groups.map(({ severity, code, count, rule }) => [severity, code, countText(count), rule]);
  return [head, '', table([['severity', 'code', 'rows', 'rule'], ...summary]), ...groups.map(groupText)].join('\n');
}

function plural(severity: string, count: number): string {
  if (severity === 'review') return ' by hand';
  return severity === 'info' || count === 1 ? '' : 's';
}

function groupText({ severity, code, count, findings, fix }: CheckGroup): string {
  const shown = findings.slice(0, QUOTED);
  const lines = [`\n${severity} ${code} (${countText(count)})`, ...shown.flatMap(findingLines)];
  if (count > shown.length) lines.push(`  and ${countText(count - shown.length)} more`);
  const command = fix?.replace(/\bFILE\b/, findings[0]!.file);
  if (command !== undefined) lines.push(`  Fix: ${command}`);
  return lines.join('\n');
}

function findingLines({ file, line, message, quote }: CheckFinding): string[] {
  const place = line === undefined ? file : `${file}:${line}`;
  return quote === undefined ? [`  ${place} ${message}`] : [`  ${place} ${message}`, `    "${quote}"`];
}
