import { basename, join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { type PullOptions, pullModel } from '../io/cache.ts';
import { readJson } from '../io/files.ts';
import { type ModelReference, resolveModel } from '../registry/models.ts';
import { flatten, resolveRun } from '../registry/runs.ts';
import type { Context, OptionSpecs } from './command.ts';
import type { ModelRequest } from './domain.ts';
import { bytesText } from './format.ts';
import { openProgress } from './progress.ts';

/** The folder of runs that commands look in. */
export const RUNS = 'runs';

/** Options of every command that opens a model. */
export const modelOptions = {
  model: { type: 'string', value: 'MODEL', description: 'catalogue name, Hugging Face id, folder, .gguf file, or run' },
  adapter: { type: 'string', value: 'DIR', description: 'a PEFT adapter folder made elsewhere' },
  device: { type: 'string', choices: ['auto', 'cpu', 'webgpu'], description: 'what computes', default: 'auto' },
  threads: { type: 'integer', value: 'N', description: 'threads of the CPU engine (default: all cores)' },
} as const satisfies OptionSpecs;

/** The given values of {@link modelOptions}. */
export interface ModelFlags {
  readonly model?: string | undefined;
  readonly adapter?: string | undefined;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
}

/** MODEL as it was named: first word or --model, not both. @throws CLI_OPTION_CONFLICT */
export function modelName(positional: string | undefined, flag: string | undefined): string | undefined {
  if (positional !== undefined && flag !== undefined) {
    const message = `the model is named twice: ${positional} and --model ${flag}.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
  return positional ?? flag;
}

/**
 * Finds the files of a model, pulling it first if need be, after saying its size and licence.
 *
 * @throws MODEL_NOT_FOUND, RUN_NOT_FOUND, DOWNLOAD_*, FILE_NOT_FOUND
 */
export async function requestModel(name: string, flags: ModelFlags, context: Context): Promise<ModelRequest> {
  const places = { home: context.home, runs: RUNS };
  const device = flags.device === 'cpu' || flags.device === 'webgpu' ? flags.device : 'auto';
  const compute = { device, ...(flags.threads === undefined ? {} : { threads: flags.threads }) } as const;
  const reference = await present(resolveModel(name, places), context);
  if (reference.kind === 'path') {
    return { path: reference.path, hubId: reference.hubId, adapter: flags.adapter, run: undefined, compute };
  }
  const { run } = reference;
  if (flags.adapter !== undefined) {
    const message = `run ${run.name} brings its own adapter, so --adapter has no place beside it.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
  if (run.weights === undefined) {
    const fix = `tunesmith train --resume ${run.name}`;
    throw new TunesmithError('RUN_CHECKPOINT_NOT_FOUND', { message: `run ${run.name} has no checkpoint yet.`, fix });
  }
  const config = flatten(readJson(join(run.run, 'config.json')));
  const base = await requestModel(String(config.model), { ...flags, adapter: undefined }, context);
  if (config['weights.kind'] === 'full') return { ...base, path: run.weights, run: run.run };
  return { ...base, adapter: run.weights, run: run.run };
}

/** The base of a run that is to be resumed. */
export async function requestBaseOf(run: string, context: Context): Promise<{ run: string; base: ModelRequest }> {
  const found = resolveRun(run, RUNS);
  const named = /:(step-\d+|best|last)$/.exec(run);
  if (named !== null && basename(found.run) !== run) {
    const fix = `tunesmith train --from ${run} ... starts a new run from it`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: `--resume goes on from the newest checkpoint, not from ${named[1]}.`,
      fix,
    });
  }
  const config = flatten(readJson(join(found.run, 'config.json')));
  return { run: found.run, base: await requestModel(String(config.model), {}, context) };
}

async function present(
  reference: ModelReference,
  context: Context,
): Promise<Exclude<ModelReference, { kind: 'missing' }>> {
  if (reference.kind !== 'missing') return reference;
  const { id, known } = reference;
  if (known !== undefined) {
    context.terminal.say(`${id} is not here yet: ${bytesText(known.bytes)} or more, licence ${known.licence}.`);
  }
  const pulled = await pullWithProgress({ id, sources: reference.sources }, context);
  return { kind: 'path', path: pulled.path, id, hubId: known?.hubId ?? id };
}

/** Pulls a model and shows how it goes. Under --json the events are lines. */
export async function pullWithProgress(
  what: Pick<PullOptions, 'id' | 'sources'>,
  { terminal, signal, home, env }: Context,
): Promise<Awaited<ReturnType<typeof pullModel>>> {
  const progress = openProgress(terminal, what.id);
  let emitted = 0;
  try {
    return await pullModel({
      ...what,
      home,
      signal,
      endpoint: env.HF_ENDPOINT || undefined,
      token: env.HF_TOKEN || undefined,
      onEvent: (event) => {
        if (event.type === 'progress') {
          const total = event.total === undefined ? '' : ` of ${bytesText(event.total)}`;
          progress.update(event.bytes, event.total, `${event.file} ${bytesText(event.bytes)}${total}`);
          // A line a second is plenty for a machine.
          if (Date.now() - emitted < 1000) return;
          emitted = Date.now();
        }
        terminal.emit(event);
        if (event.type === 'unreachable') progress.say(`${event.source}: ${event.message} Trying the next source.`);
        if (event.type === 'source') {
          const licence = event.licence === undefined ? '' : `, licence ${event.licence}`;
          progress.say(`Pulling ${what.id} from ${event.source}: ${bytesText(event.bytes)}${licence}.`);
        }
        if (event.type === 'file') progress.say(`${event.file}: verified, sha256 ${event.sha256}`);
      },
    });
  } finally {
    progress.stop();
  }
}
