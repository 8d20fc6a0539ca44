import { basename } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import type { CachedModel, PullEvent } from '../io/cache.ts';
import { BASE_WEIGHTS } from '../model/base-forms.ts';
import { locateModel, type Pull } from '../registry/locate.ts';
import type { ModelReference, Places } from '../registry/models.ts';
import { pullMissing } from '../registry/pull.ts';
import type { Context, OptionSpecs } from './command.ts';
import type { ModelRequest } from './domain.ts';
import { bytesText, durationText } from './format.ts';
import { openProgress, type Progress } from './progress.ts';

/** The folder of runs that commands look in. */
export const RUNS = 'runs';

/** Of every command that may fetch a model. */
export const offlineOption = {
  type: 'boolean',
  description: 'use only what is on this machine, as HF_HUB_OFFLINE=1 does',
} as const;

/** Options of every command that opens a model. */
export const modelOptions = {
  model: { type: 'string', value: 'MODEL', description: 'catalogue name, Hugging Face id, folder, .gguf file, or run' },
  adapter: { type: 'string', value: 'DIR', description: 'a PEFT adapter folder made elsewhere' },
  strength: {
    type: 'number',
    value: 'N',
    description: 'how much of a LoRA adapter counts: base + N * what was learned, above 0 to 2 (default: 1)',
  },
  device: { type: 'string', choices: ['auto', 'cpu', 'webgpu'], description: 'what computes', default: 'auto' },
  threads: { type: 'integer', value: 'N', description: 'threads of the CPU engine (default: all cores)' },
  'base-weights': {
    type: 'string',
    choices: BASE_WEIGHTS,
    description: 'frozen weights in memory: f32, as they lie in the file, or rounded (default: as trained, else f32)',
  },
  offline: offlineOption,
} as const satisfies OptionSpecs;

/** The given values of {@link modelOptions}. */
export interface ModelFlags {
  readonly model?: string | undefined;
  readonly adapter?: string | undefined;
  readonly strength?: number | undefined;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly 'base-weights'?: string | undefined;
}

/** Bytes of a file below which its progress is not shown. */
const SMALL = 5e6;

/** Where models and runs are looked for. */
export function placesOf({ home, hub }: Context): Places {
  return { home, runs: RUNS, hubCache: hub.hubCache };
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
  const device = flags.device === 'cpu' || flags.device === 'webgpu' ? flags.device : 'auto';
  const compute = { device, ...(flags.threads === undefined ? {} : { threads: flags.threads }) } as const;
  const located = await locateModel(name, placesOf(context), pulling(context));
  const baseWeights = BASE_WEIGHTS.find((name) => name === flags['base-weights']);
  const own = { compute, baseWeights, strength: strengthOf(flags, located.adapter ?? flags.adapter) };
  if (located.run === undefined) return { ...located, adapter: flags.adapter, ...own };
  if (flags.adapter !== undefined) {
    const message = `run ${basename(located.run)} brings its own adapter, so --adapter has no place beside it.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
  return { ...located, ...own };
}

/** @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT without an adapter that it could scale */
function strengthOf({ strength }: ModelFlags, adapter: string | undefined): number | undefined {
  if (strength === undefined) return undefined;
  if (!(strength > 0 && strength <= 2)) {
    const message = `--strength ${strength} is not above 0 and at most 2.`;
    throw new TunesmithError('CLI_OPTION_VALUE', { message });
  }
  if (adapter !== undefined) return strength;
  throw new TunesmithError('CLI_OPTION_CONFLICT', {
    message: '--strength has no effect on a model without an adapter.',
    fix: 'name a run that trained one, or leave --strength out',
  });
}

/** Fetches what is missing, after saying its size and licence. */
export function pulling(context: Context): Pull {
  return (missing) => {
    const { id, known } = missing;
    if (known !== undefined && context.hub.offline !== true) {
      context.terminal.say(`${id} is not here yet: ${bytesText(known.bytes)} or more, licence ${known.licence}.`);
    }
    return pullWithProgress(missing, context);
  };
}

/** Pulls a model and shows how it goes. Under --json the events are lines. */
export async function pullWithProgress(
  missing: ModelReference & { readonly kind: 'missing' },
  { terminal, signal, home, hub }: Context,
): Promise<CachedModel> {
  const progress = openProgress(terminal, missing.id);
  let emitted = 0;
  try {
    return await pullMissing(missing, {
      home,
      hub,
      signal,
      onEvent: (event) => {
        if (event.type === 'progress') {
          // Files that are there in a moment need no bar.
          if (event.total !== undefined && event.total < SMALL) return;
          const total = event.total === undefined ? '' : ` of ${bytesText(event.total)}`;
          progress.update(event.bytes, event.total, `${event.file} ${bytesText(event.bytes)}${total}`);
          // A line a second is plenty for a machine.
          if (Date.now() - emitted < 1000) return;
          emitted = Date.now();
        } else tellPull(missing.id, event, progress);
        terminal.emit(event);
      },
    });
  } finally {
    progress.stop();
  }
}

function tellPull(id: string, event: Exclude<PullEvent, { type: 'progress' }>, progress: Progress): void {
  switch (event.type) {
    case 'unreachable':
      progress.say(`${event.source}: ${event.message} Trying the next source.`);
      break;
    case 'source': {
      const licence = event.licence === undefined ? '' : `, licence ${event.licence}`;
      const gated = event.gated === true ? ', gated' : '';
      progress.say(`Pulling ${id} from ${event.source}: ${bytesText(event.bytes)}${licence}${gated}.`);
      break;
    }
    case 'waiting':
      progress.say(`${event.why} Waiting${event.seconds === undefined ? '' : ` ${durationText(event.seconds)}`}.`);
      break;
    case 'file':
      progress.say(`${event.file}: verified, sha256 ${event.sha256}`);
      break;
    case 'done':
      break;
    default:
      event satisfies never;
  }
}
