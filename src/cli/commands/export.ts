import { TunesmithError } from '../../errors/index.ts';
import type { ExportEvent } from '../../export/export.ts';
import { EXPORT_TARGETS, type ExportTarget, type Quant } from '../../export/types.ts';
import { showRun } from '../../registry/runs.ts';
import { type Context, defineCommand } from '../command.ts';
import type { ModelRequest } from '../domain.ts';
import { bytesText } from '../format.ts';
import { modelName, modelOptions, requestModel } from '../models.ts';
import { openProgress, type Progress } from '../progress.ts';
import { pushFolder, pushOptions, requirePush } from '../push.ts';

const SHARD_GB = 5;

const quants = (Object.keys(EXPORT_TARGETS) as ExportTarget[])
  .filter((to) => EXPORT_TARGETS[to].length > 0)
  .map((to) => `  ${to}: ${EXPORT_TARGETS[to].join(', ')}`)
  .join('\n');

/** `tunesmith export`. */
export const exportCommand = defineCommand({
  name: 'export',
  summary: 'Writes a model for other programs, and proves that it gives what was trained.',
  positionals: ['[MODEL]'],
  options: {
    ...modelOptions,
    to: { type: 'string', choices: Object.keys(EXPORT_TARGETS), description: 'what is written' },
    quant: { type: 'string', value: 'TYPE', description: 'how numbers are stored, see below' },
    out: { type: 'string', value: 'DIR', description: 'a new or empty folder (default: by model, target and type)' },
    'shard-size': {
      type: 'number',
      value: 'GB',
      description: 'largest file of safetensors',
      default: String(SHARD_GB),
    },
    ...pushOptions,
  },
  examples: [
    'export @last --to safetensors',
    'export @last --to gguf --quant q4_k_m',
    'export @last --to peft --out my-adapter',
    'export @last --to onnx --quant q8 --push your-name/my-model',
    'export smollm2-135m-instruct --adapter my-adapter --to safetensors --quant bf16',
  ],
  notes: `Values of --quant, the default first:
${quants}
The adapter is merged in float32 and rounded once. Golden prompts then go through the model that was trained and through the files as they are read back;
certificate.json says how far they are apart, README.md is the model card. Beyond the limit nothing is written, and the exit code is 3.
--push takes the token of HF_TOKEN, or of Hugging Face's login, and the hub of HF_ENDPOINT.`,
  async run({ options, positionals }, context) {
    const { terminal, signal } = context;
    requirePush(options, context);
    const to = targetOf(options.to);
    const quant = quantOf(to, options.quant);
    const shardGb = shardSize(to, options['shard-size']);
    const named = modelName(positionals[0], options.model) ?? '@last';
    const model = await requestModel(named, options, context);
    const name = nameOf(model, named);
    const out = options.out ?? [name, to, quant].filter((part) => part !== undefined).join('-');
    const { exportModel } = await import('../../export/export.ts');
    const progress = openProgress(terminal, 'export');
    try {
      const request = { model, to, quant, out, name, shardBytes: shardGb * 1e9, report: reportOf(model) };
      await exportModel(request, { signal, onEvent: (event) => show(event, context, progress) });
    } finally {
      progress.stop();
    }
    await pushFolder(out, options, context);
    return 0;
  },
});

function isTarget(to: string): to is ExportTarget {
  return Object.hasOwn(EXPORT_TARGETS, to);
}

/** @throws CLI_ARGUMENT */
function targetOf(to: string | undefined): ExportTarget {
  if (to !== undefined && isTarget(to)) return to;
  const fix = `--to ${Object.keys(EXPORT_TARGETS).join('|')}`;
  throw new TunesmithError('CLI_ARGUMENT', { message: 'no target is named.', fix });
}

/** @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT */
function quantOf(to: ExportTarget, given: string | undefined): Quant | undefined {
  const known: readonly Quant[] = EXPORT_TARGETS[to];
  if (given === undefined) return known[0];
  if (known.length === 0) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--quant has no effect with --to ${to}.` });
  }
  const found = known.find((quant) => quant === given.toLowerCase());
  if (found !== undefined) return found;
  const message = `--quant ${given} is not one of ${known.join(', ')}, which --to ${to} knows.`;
  throw new TunesmithError('CLI_OPTION_VALUE', { message });
}

/** @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT */
function shardSize(to: ExportTarget, given: number | undefined): number {
  if (given === undefined) return SHARD_GB;
  if (to !== 'safetensors') {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--shard-size has no effect with --to ${to}.` });
  }
  if (given > 0) return given;
  throw new TunesmithError('CLI_OPTION_VALUE', { message: '--shard-size must be above 0.' });
}

/** A name that can be a file's: of the run, or of the model. */
function nameOf({ run, path, hubId }: ModelRequest, named: string): string {
  const full = run ?? hubId ?? (named.startsWith('@') ? path : named);
  const last = full.replace(/\/+$/, '').split(/[\\/]/).at(-1) ?? full;
  return last.replace(/\.gguf$/i, '').replace(/[^\w.-]+/g, '-');
}

/** What the run measured at its end. */
function reportOf({ run }: ModelRequest): { before: number; after: number; tokens: number } | undefined {
  if (run === undefined) return undefined;
  const report = showRun(run).events.findLast((event) => event.type === 'report');
  return report && { before: report.before, after: report.after, tokens: report.tokens };
}

function show(event: ExportEvent, { terminal }: Context, progress: Progress): void {
  switch (event.type) {
    case 'plan': {
      terminal.emit(event);
      const quant = event.quant === null ? '' : ` ${event.quant}`;
      terminal.say(`Writing ${event.to}${quant}, about ${bytesText(event.bytes)}, to ${event.out}.`);
      return;
    }
    case 'progress': {
      const text =
        event.stage === 'write' ? bytesText(event.done) : `check ${event.done} of ${event.total}: golden prompts`;
      progress.update(event.done, event.total, text);
      return;
    }
    case 'done': {
      progress.stop();
      const { certificate, ...rest } = event;
      terminal.emit({ ...rest, ...certificate });
      const { meanKl, topOneAgreement, positions } = certificate.exported;
      for (const file of certificate.files) terminal.say(`  ${file.name}  ${bytesText(file.bytes)}`);
      terminal.print(
        `${event.out}: the files give what was trained: mean KL ${meanKl.toPrecision(2)} nats, ` +
          `same top token at ${(100 * topOneAgreement).toFixed(1)} % of ${positions} places.\n${event.next}`,
      );
      return;
    }
    default:
      event satisfies never;
  }
}
