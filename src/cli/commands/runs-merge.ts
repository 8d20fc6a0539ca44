import { TunesmithError } from '../../errors/index.ts';
import { openModelSource } from '../../model/source.ts';
import { defineCommand, type OptionSpecs } from '../command.ts';
import { requestModel } from '../models.ts';

const KINDS = ['linear', 'ties', 'dare', 'slerp'] as const;

const options = {
  to: { type: 'string', value: 'DIR', description: 'a new folder for the adapter' },
  method: {
    type: 'string',
    choices: KINDS,
    description: 'the sum of what was learned; the largest of it with the elected sign; a random part; the arc of two',
    default: 'linear',
  },
  weights: {
    type: 'string',
    value: 'N,N,...',
    description: 'how much of each run counts (default: equal shares of 1)',
  },
  density: { type: 'number', value: 'N', description: 'ties, dare: share of each adapter that is kept (default: 0.5)' },
  seed: { type: 'integer', value: 'N', description: 'dare: which part is drawn (default: 0)' },
} as const satisfies OptionSpecs;

/** `tunesmith runs merge`. */
export const runsMerge = defineCommand({
  name: 'runs merge',
  summary: 'Makes one adapter of the LoRA adapters of several runs from the same base model, without training.',
  positionals: ['RUN', 'RUN...'],
  options,
  examples: [
    'runs merge support slots --to both',
    'runs merge support slots --to both --method ties --density 0.3 --weights 1,0.8',
  ],
  notes: `The folder is a PEFT adapter: tunesmith eval MODEL --adapter DIR measures it, export MODEL --adapter DIR takes it along.
linear and slerp lose nothing, and the ranks add up; so do they with dare. ties keeps the rank, and goes factor by factor, as in peft.`,
  async run({ options, positionals }, context) {
    const { to, method } = options;
    const { combineAdapters } = await import('../../export/combine.ts');
    const combination = combinationOf(options);
    const weights = weightsOf(options.weights, positionals.length);
    if (to === undefined) throw new TunesmithError('CLI_ARGUMENT', { message: 'no folder is named.', fix: '--to DIR' });
    if (method === 'slerp' && positionals.length !== 2) {
      const message = `--method slerp lies between two runs, and ${positionals.length} are named.`;
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: '--method linear' });
    }
    const requests = [];
    for (const name of positionals) requests.push({ name, ...(await requestModel(name, {}, context)) });
    const first = requests[0]!;
    for (const { name, path, adapter } of requests) {
      if (adapter === undefined) {
        throw new TunesmithError('ADAPTER_UNSUPPORTED', { message: `${name} has no adapter to be merged.` });
      }
      if (path !== first.path) {
        const message = `${name} was trained on another base model than ${first.name}.`;
        throw new TunesmithError('ADAPTER_MISMATCH', { message });
      }
    }
    const parts = requests.map(({ adapter }, i) => ({ adapter: adapter!, weight: weights[i]! }));
    const rank = await combineAdapters(parts, openModelSource(first.path).config, combination, to);
    const model = first.hubId ?? first.path;
    context.terminal.emit({ type: 'merged', ...combination, runs: positionals, weights, to, rank, model });
    const sum = positionals.map((name, i) => `${Number(weights[i]!.toFixed(4))} x ${name}`).join(' + ');
    context.terminal.print(`${to}: ${sum}, ${combination.kind}, rank ${rank}.`);
    context.terminal.print(`Measure it:   tunesmith eval ${model} --adapter ${to}`);
    return 0;
  },
});

interface Given {
  readonly method?: string | undefined;
  readonly density?: number | undefined;
  readonly seed?: number | undefined;
}

/** @throws CLI_OPTION_CONFLICT, CLI_OPTION_VALUE */
function combinationOf({ method, density, seed }: Given) {
  const kind = KINDS.find((one) => one === method) ?? 'linear';
  const conflict = (flag: string) =>
    new TunesmithError('CLI_OPTION_CONFLICT', { message: `${flag} has no effect on --method ${kind}.` });
  if (seed !== undefined && kind !== 'dare') throw conflict('--seed');
  if (density !== undefined && !(density > 0 && density < 1)) {
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `--density ${density} is not above 0 and below 1.` });
  }
  if (kind === 'ties') return { kind, density: density ?? 0.5 } as const;
  if (kind === 'dare') return { kind, density: density ?? 0.5, seed: seed ?? 0 } as const;
  if (density !== undefined) throw conflict('--density');
  return { kind } as const;
}

/** @throws CLI_OPTION_VALUE */
function weightsOf(given: string | undefined, count: number): number[] {
  if (given === undefined) return new Array<number>(count).fill(1 / count);
  const weights = given.split(',').map(Number);
  if (weights.length === count && weights.every((one) => Number.isFinite(one) && one > 0)) return weights;
  const message = `--weights ${given} is not a number above 0 for each of the ${count} runs.`;
  throw new TunesmithError('CLI_OPTION_VALUE', { message });
}
