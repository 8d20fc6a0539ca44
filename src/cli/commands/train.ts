import { basename, dirname, join, resolve } from 'node:path';
import { parseReward } from '../../align/online/rewards.ts';
import { TunesmithError } from '../../errors/index.ts';
import { judgePlace } from '../../evaluate/judge-reward.ts';
import { fileExists } from '../../io/files.ts';
import { evaluateLater } from '../../registry/evaluate-run.ts';
import { doneEvent, fromRequest, resumeRequest, type StartRequest, startRequest } from '../../registry/requests.ts';
import { flatten } from '../../registry/runs.ts';
import { DataConfig } from '../../train/config.ts';
import { type Context, defineCommand, INTERRUPTED } from '../command.ts';
import { type Flags, flagLayer, resolveConfig } from '../config.ts';
import { findConfig, readConfig } from '../config-file.ts';
import type { PreparedRun, RunRequest } from '../domain.ts';
import { watchEvaluation } from '../evaluation.ts';
import { configOptions } from '../fields.ts';
import { dataFiles, isDataId } from '../hub-data.ts';
import { agree } from '../judge.ts';
import { offlineOption, placesOf, pulling, RUNS } from '../models.ts';
import { evaluationCost, planText, prepare, summaryText, type Watched, watchRun } from '../training.ts';

/** What does not change the run, and may stand beside --resume. */
const BESIDE_RESUME = ['resume', 'json', 'quiet', 'plan', 'offline'];

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
    offline: offlineOption,
    yes: {
      type: 'boolean',
      description: 'agree beforehand that prompts and answers are sent to --reward judge:URL#MODEL',
    },
  },
  examples: [
    'train --model smollm2-135m-instruct --data support.jsonl',
    'train tunesmith.config.ts --lr 2e-4 --plan',
    'train --resume @last',
    'train --from support-v1 --data more.jsonl',
    'train --method pretrain --model smollm2-135m-instruct --data handbook/ --replay general.jsonl',
    'train --method pretrain --from-scratch tiny.json --vocab 1024 --data shakespeare.txt',
  ],
  notes:
    'CONFIG is tunesmith.config.ts, .js, .json or .yaml; one in this folder is found by its name.\n' +
    'Ctrl-C saves the run, says how to resume it, and exits 130. When the run is done, base and tuned model answer the quick suite and the held-out\n' +
    'rows, and report.html in the folder of the run says what was learned and what was forgotten; --no-eval leaves that out.',
  async run({ options, positionals }, context) {
    const { terminal, signal } = context;
    const flags: Flags = options;
    const asked = await requestOf(flags, positionals[0], context);
    await agreeToJudges(asked, flags.yes === true, context);
    const request = await withHubData(asked, context);
    if (request.kind === 'start') terminal.say(configText(request));
    else if (tellDone(request.run, context)) return 0;
    const run = await prepare(request, context);
    try {
      terminal.say(`\n${planText(run)}\n`);
      if (flags.plan === true) {
        // A run that starts tells of them as events.
        for (const { code, message } of run.plan.warnings) terminal.say(`warning ${code} ${message}`);
        const evaluation = evaluationCost(run);
        terminal.emit({ type: 'plan', ...run.plan, ...(evaluation === undefined ? {} : { evaluation }) });
        return 0;
      }
      // Nothing is written yet, so there is nothing to resume.
      signal.throwIfAborted();
      let outcome = '';
      const watched = await watchOrHint(run, context, async () => {
        outcome = await evaluateOrHint(run, request, context);
      });
      if (watched.done === undefined) {
        terminal.say(resumeHint('Saved. It goes on', run.path));
        return INTERRUPTED;
      }
      terminal.print(`${summaryText(run, watched, terminal.columns)}${outcome}`);
      return signal.aborted ? INTERRUPTED : 0;
    } finally {
      await run.close();
    }
  },
});

/** Asks before anything is sent to a judge that is not on this machine. Who resumes a run agreed when it was started. @throws EVAL_JUDGE, CLI_OPTION_CONFLICT */
async function agreeToJudges(request: RunRequest, isAgreed: boolean, context: Context): Promise<void> {
  const method = request.kind === 'start' ? request.config.method : undefined;
  const specs = method !== undefined && 'reward' in method ? [method.reward ?? []].flat() : [];
  const places = specs.flatMap((spec) => judgePlace(parseReward(spec).name) ?? []);
  for (const { url } of places) await agree(url, 'All prompts, right answers and drawn answers', isAgreed, context);
  if (!isAgreed || places.length > 0) return;
  const message = '--yes has no effect without --reward judge:URL#MODEL.';
  throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: 'leave --yes out' });
}

/** Data sets of the hub as the files that were fetched of them. */
async function withHubData(request: RunRequest, context: Context): Promise<RunRequest> {
  if (request.kind !== 'start') return request;
  const { data: given } = request.config;
  const data = typeof given === 'string' ? DataConfig.parse({ train: given }) : given;
  const names = [data.train, data.valid ?? []].flat();
  if (!names.some((name) => typeof name === 'string' && isDataId(name))) return request;
  const train = await dataFiles([data.train].flat(), context);
  const held = typeof data.valid === 'string' ? await dataFiles([data.valid], context) : [];
  const [valid] = held;
  if (held.length > 1) {
    const message = `${data.valid} is ${held.length} files, and --valid is one.`;
    throw new TunesmithError('DATA_HUB', { message, fix: 'name one file of it: datasets/OWNER/NAME:FILE' });
  }
  const own = { ...data, train: typeof data.train === 'string' && train.length === 1 ? train[0]! : train };
  return { ...request, config: { ...request.config, data: valid === undefined ? own : { ...own, valid } } };
}

/** A run goes on from its last checkpoint, which is whole. Errors of the catalogue say so themselves where it helps. */
async function watchOrHint(run: PreparedRun, context: Context, finish: () => Promise<void>): Promise<Watched> {
  let isDone = false;
  try {
    return await watchRun(run, context, () => {
      isDone = true;
      return finish();
    });
  } catch (error) {
    if (!isDone && !(error instanceof TunesmithError) && fileExists(join(run.path, 'config.json')))
      context.terminal.say(resumeHint('It goes on', run.path));
    throw error;
  }
}

/** Measures a run that is done; whatever breaks this off, the run stays done. @returns its outcome in words */
async function evaluateOrHint(run: PreparedRun, request: RunRequest, context: Context): Promise<string> {
  const { terminal, signal } = context;
  if (run.config.output.eval === false) return '';
  try {
    return await showEvaluation(run, request, context);
  } catch (error) {
    terminal.say(`The run is done, its evaluation is not. It goes on with: ${evaluateLater(run.path)}`);
    if (signal.aborted) return '';
    throw error;
  }
}

async function showEvaluation(run: PreparedRun, { base }: RunRequest, context: Context): Promise<string> {
  const { evaluateRun } = await import('../../registry/evaluate-run.ts');
  const { outcomeText } = await import('../../evaluate/words.ts');
  const { signal, home } = context;
  const found = await watchEvaluation(evaluateRun(run, base, home, signal), context);
  const events = found.flatMap((event) => (event.type === 'evaluated' ? [] : [event]));
  const report = found.flatMap((event) => (event.type === 'evaluated' ? [event.report] : []));
  return ['', '', outcomeText(events), ...report.map((file) => `The report:   ${file}`)].join('\n');
}

function resumeHint(words: string, path: string): string {
  const name = resolve(dirname(path)) === resolve(RUNS) ? basename(path) : path;
  return `${words} with: tunesmith train --resume ${name}`;
}

/** A finished run has nothing to go on with: says so, and that is all. */
function tellDone(run: string, { terminal }: Context): boolean {
  const done = doneEvent(run);
  if (done === undefined) return false;
  terminal.emit(done);
  terminal.print(`${run} is done after ${done.steps} steps: ${done.best}`);
  return true;
}

async function requestOf(flags: Flags, configName: string | undefined, context: Context): Promise<RunRequest> {
  const [places, pull] = [placesOf(context), pulling(context)];
  if (typeof flags.resume === 'string') {
    const beside = Object.keys(flags).filter((name) => !BESIDE_RESUME.includes(name));
    const other = configName ?? (beside[0] === undefined ? undefined : `--${beside[0]}`);
    if (other === undefined) return resumeRequest(flags.resume, places, pull);
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: `--resume goes on with the run as it is, so ${other} has no place beside it.`,
      fix: `tunesmith train --from ${flags.resume} ... starts a new run from its adapter`,
    });
  }
  if (typeof flags.from === 'string') {
    if (configName !== undefined) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--from brings what a config file would bring.' });
    }
    return fromRequest(flags.from, [flagLayer(flags)], places, pull);
  }
  const isComplete = (flags.model ?? flags['from-scratch']) !== undefined && flags.data !== undefined;
  const file = configName ?? (isComplete ? undefined : findConfig('.'));
  return startRequest(resolveConfig(flags, file === undefined ? undefined : await readConfig(file)), places, pull);
}

/** The resolved config with the origin of every value. */
function configText({ config, origins }: StartRequest): string {
  const lines = Object.entries(flatten(config)).map(
    ([path, value]) => `  ${path} = ${JSON.stringify(value)} (${origins[path] ?? 'default'})`,
  );
  return ['Config:', ...lines].join('\n');
}
