import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../../errors/index.ts';
import { fileExists, readJson } from '../../io/files.ts';
import { flatten, resolveRun, showRun } from '../../registry/runs.ts';
import { type Context, defineCommand, INTERRUPTED, type OptionValue } from '../command.ts';
import { type ResolvedConfig, resolveConfig } from '../config.ts';
import { type ConfigFile, findConfig, readConfig } from '../config-file.ts';
import type { PreparedRun, RunRequest } from '../domain.ts';
import { configFields, configOptions } from '../fields.ts';
import { RUNS, requestBaseOf, requestModel } from '../models.ts';
import { planText, summaryText, type Watched, watchRun } from '../training.ts';
import { domain } from '../wiring.ts';

type Flags = Readonly<Record<string, OptionValue | undefined>>;

/** `tunesmith train`. */
export const train = defineCommand({
  name: 'train',
  summary: 'Fine-tunes a model. Values come from flags, then from the config file, then from the defaults.',
  positionals: ['[CONFIG]'],
  options: {
    ...configOptions(),
    resume: { type: 'string', value: 'RUN', description: 'go on with a run, bit for bit' },
    from: { type: 'string', value: 'RUN', description: 'start a new run from the adapter and the config of another' },
    plan: { type: 'boolean', description: 'say what it will cost, and stop' },
  },
  examples: [
    'train --model smollm2-135m-instruct --data support.jsonl',
    'train tunesmith.config.ts --lr 2e-4 --plan',
    'train --resume @last',
    'train --from support-v1 --data more.jsonl',
  ],
  notes:
    'CONFIG is tunesmith.config.ts, .js, .json or .yaml; one in this folder is found by its name.\n' +
    'Ctrl-C saves the run, says how to resume it, and exits 130.',
  async run({ options, positionals }, context) {
    const { terminal, signal } = context;
    const flags: Flags = options;
    const request = await requestOf(flags, positionals[0], context);
    if (request.kind === 'start') terminal.say(configText(request));
    else if (tellDone(request.run, context)) return 0;
    const run = await domain.prepareRun(request);
    try {
      terminal.say(`\n${planText(run.plan)}\n`);
      if (flags.plan === true) {
        // A run that starts tells of them as events.
        for (const { code, message } of run.plan.warnings) terminal.say(`warning ${code} ${message}`);
        terminal.emit({ type: 'plan', ...run.plan });
        return 0;
      }
      // Nothing is written yet, so there is nothing to resume.
      signal.throwIfAborted();
      const watched = await watchOrHint(run, context);
      if (watched.done === undefined) {
        terminal.say(resumeHint('Saved. It goes on', run.path));
        return INTERRUPTED;
      }
      terminal.print(summaryText(run, watched, terminal.columns));
      return 0;
    } finally {
      await run.close();
    }
  },
});

/** A run goes on from its last checkpoint, which is whole. Errors of the catalogue say so themselves where it helps. */
async function watchOrHint(run: PreparedRun, context: Context): Promise<Watched> {
  try {
    return await watchRun(run, context);
  } catch (error) {
    if (!(error instanceof TunesmithError) && fileExists(join(run.path, 'config.json')))
      context.terminal.say(resumeHint('It goes on', run.path));
    throw error;
  }
}

function resumeHint(words: string, path: string): string {
  const name = resolve(dirname(path)) === resolve(RUNS) ? basename(path) : path;
  return `${words} with: tunesmith train --resume ${name}`;
}

/** A finished run has nothing to go on with: says so, and that is all. */
function tellDone(run: string, { terminal }: Context): boolean {
  const done = showRun(run).events.find((event) => event.type === 'done');
  if (done === undefined) return false;
  terminal.emit(done);
  terminal.print(`${run} is done after ${done.steps} steps: ${done.best}`);
  return true;
}

async function requestOf(flags: Flags, configName: string | undefined, context: Context): Promise<RunRequest> {
  if (typeof flags.resume === 'string') {
    const beside = Object.keys(flags).filter((name) => !['resume', 'json', 'quiet', 'plan'].includes(name));
    const other = configName ?? (beside[0] === undefined ? undefined : `--${beside[0]}`);
    if (other !== undefined) {
      const message = `--resume goes on with the run as it is, so ${other} has no place beside it.`;
      const fix = `tunesmith train --from ${flags.resume} ... starts a new run from its adapter`;
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
    }
    return { kind: 'resume', ...(await requestBaseOf(flags.resume, context)) };
  }
  if (typeof flags.from === 'string') return fromRun(flags.from, flags, configName, context);
  const file = configName ?? (flags.model === undefined || flags.data === undefined ? findConfig('.') : undefined);
  const resolved = resolveConfig(flags, file === undefined ? undefined : await readConfig(file));
  return start(resolved, context);
}

async function start({ config, origins }: ResolvedConfig, context: Context): Promise<RunRequest> {
  const { device, threads } = config.compute;
  const base = await requestModel(config.model, { device, threads }, context);
  if (base.adapter !== undefined) {
    const fix = `tunesmith train --from ${config.model} ...`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `${config.model} is a run with an adapter.`, fix });
  }
  return { kind: 'start', config, origins, base };
}

/** A new run with the config of another, from its adapter; its name, and what the adapter brings, are not taken over. */
async function fromRun(
  name: string,
  flags: Flags,
  configName: string | undefined,
  context: Context,
): Promise<RunRequest> {
  for (const [other, given] of [
    ['a config file', configName],
    ['--init-adapter', flags['init-adapter']],
    ['--model', flags.model],
  ]) {
    if (given !== undefined) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--from brings what ${String(other)} would bring.` });
    }
  }
  const model = await requestModel(name, {}, context);
  const json = Frozen.parse(readJson(join(resolveRun(name, RUNS).run, 'config.json')));
  const frozen = flatten(json);
  const lora = ['weights.rank', 'weights.alpha', 'weights.targets', 'weights.layers'];
  const left = ['output.name', 'initAdapter', ...(model.adapter === undefined ? [] : lora)];
  // What was chosen automatically, or by default, is chosen anew.
  const taken = configFields().filter(({ path }) => {
    const origin = json.origins[path] ?? 'default';
    return frozen[path] !== undefined && origin !== 'default' && !left.includes(path);
  });
  const value: Record<string, unknown> = { model: model.adapter === undefined ? model.path : json.model };
  if (model.adapter !== undefined) value.initAdapter = model.adapter;
  for (const { path } of taken) {
    const [section = '', key] = path.split('.');
    const there = value[section];
    if (key !== undefined) value[section] = { ...(typeof there === 'object' ? there : {}), [key]: frozen[path] };
  }
  const file: ConfigFile = { file: `run ${name}`, value, lineOf: () => undefined };
  return start(resolveConfig(flags, file), context);
}

/** What is read of a run's config.json. */
const Frozen = z.looseObject({ model: z.string(), origins: z.record(z.string(), z.string()).default({}) });

/** The resolved config with the origin of every value. */
function configText({ config, origins }: RunRequest & { kind: 'start' }): string {
  const lines = Object.entries(flatten(config)).map(
    ([path, value]) => `  ${path} = ${JSON.stringify(value)} (${origins[path] ?? 'default'})`,
  );
  return ['Config:', ...lines].join('\n');
}
