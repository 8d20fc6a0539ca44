import { TunesmithError } from '../../errors/index.ts';
import { defineCommand } from '../command.ts';
import { countText, lossText } from '../format.ts';
import { modelName, modelOptions, requestModel } from '../models.ts';
import { openProgress } from '../progress.ts';
import { rowOptions, rowReading } from '../prompts.ts';
import { rewardText } from '../rewards.ts';
import { domain } from '../wiring.ts';

/** `tunesmith score`. */
export const score = defineCommand({
  name: 'score',
  summary:
    'Measures the loss of a model on rows: for each row and in total, over the supervised tokens. A reward model gives rewards.',
  positionals: ['[MODEL]'],
  options: {
    ...modelOptions,
    data: { type: 'string', value: 'FILE', many: true, description: 'rows of any shape that train takes' },
    ...rowOptions,
  },
  examples: ['score smollm2-135m-instruct --data held-out.jsonl', 'score @last --data held-out.jsonl --json'],
  notes:
    '--json prints {"type":"row","row":0,"nll":x,"tokens":n} for each row, then the "total" with its perplexity. nll is a sum in nats.\n' +
    'A run of --method reward prints {"type":"row","row":0,"rewards":[...]}: one for each answer of {"prompt","chosen","rejected"}, {"prompt","ranked":[...]} or {"prompt","completion"}.',
  async run({ options, positionals }, context) {
    const { terminal, signal } = context;
    const name = modelName(positionals[0], options.model) ?? '@last';
    if (options.data === undefined) {
      throw new TunesmithError('CLI_ARGUMENT', { message: 'no rows are named.', fix: '--data FILE' });
    }
    const reading = rowReading(options);
    const model = await requestModel(name, options, context);
    const progress = openProgress(terminal, 'score');
    let rows = 0;
    try {
      for await (const event of domain.score(model, options.data, signal, reading)) {
        terminal.emit(event);
        if (event.type === 'row') progress.update(++rows, undefined, `${rows} rows`);
        else if ('answers' in event) {
          progress.stop();
          terminal.print(`${countText(event.answers)} answers, mean reward ${event.meanReward.toFixed(3)}`);
          if (event.figures !== undefined) terminal.print(rewardText(event.figures));
        } else {
          progress.stop();
          const mean = event.nll / Math.max(1, event.tokens);
          terminal.print(
            `${countText(rows)} rows, ${countText(event.tokens)} supervised tokens\n` +
              `loss ${lossText(mean)} nats per token, perplexity ${event.perplexity.toPrecision(5)}`,
          );
        }
      }
    } finally {
      progress.stop();
    }
    signal.throwIfAborted();
    return 0;
  },
});
