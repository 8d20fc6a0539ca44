import { outcomeText } from '../../evaluate/words.ts';
import { writeReport } from '../../registry/report.ts';
import { defineCommand } from '../command.ts';
import { evaluationOptions, evaluationRequest, runEvaluation } from '../evaluation.ts';
import { modelName } from '../models.ts';

/** `tunesmith eval`. */
export const evalCommand = defineCommand({
  name: 'eval',
  summary: 'Measures what a model learned and what it forgot. Without MODEL: the run that was active last.',
  positionals: ['[MODEL]'],
  options: {
    ...evaluationOptions,
    html: { type: 'string', value: 'FILE', description: 'write a report that opens in a browser' },
  },
  examples: [
    'eval @last',
    'eval @last --task questions.jsonl --limit 200',
    'eval @last --html report.html',
    'eval my-run --against smollm2-135m-instruct --json',
  ],
  notes: `A run is compared with what it started from: both answer the same items, its held-out rows first. A task file has one item on each line, of one kind:
  {"context": "The sky is", "choices": [" blue", " green"], "gold": 0}            the likelier choice counts, by its summed log-probability
  {"prompt": "2 + 2?", "references": ["4"], "metric": "numeric"}                   answered greedily; exact, contains, regex or numeric (default exact)

Differences have 95 % bootstrap intervals; whether they are called so is decided by McNemar's exact test (accuracies) or by sign flips (losses), corrected for
the number of tasks. Answers are kept under TUNESMITH_HOME: an evaluation that was interrupted goes on, and a base is asked once.
--json prints "plan", then "comparison" or "score" for each task (gain: shares or nats per token, above 0 is better), "divergence", "answers" and "done".`,
  async run({ options, positionals }, context) {
    const name = modelName(positionals[0], options.model) ?? '@last';
    const request = await evaluationRequest(name, options, context);
    const events = await runEvaluation(request, context);
    context.signal.throwIfAborted();
    context.terminal.print(outcomeText(events));
    if (options.html !== undefined) {
      writeReport(options.html, request, events);
      context.terminal.print(`The report: ${options.html}`);
    }
    return 0;
  },
});
