import { outcomeText } from '../../evaluate/words.ts';
import { writeReport } from '../../registry/report.ts';
import { defineCommand } from '../command.ts';
import { evaluationOptions, evaluationRequest, runEvaluation } from '../evaluation.ts';
import { modelName } from '../models.ts';

/** The benchmarks by name: the table itself is loaded only when a task is read. */
const FORMATS =
  'lambada, hellaswag, arc, piqa, blimp, winogrande, boolq, mmlu, truthfulqa-mc1, truthfulqa-mc2, ifeval, gsm8k, wikitext';

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
    'eval @last --task hellaswag:validation.jsonl --task style.jsonl --scorer ./score.ts',
    'eval @last --task support.jsonl --judge http://localhost:8080/v1 --judge-model qwen3',
    'eval @last --html report.html',
    'eval my-run --against smollm2-135m-instruct --json',
  ],
  notes: `A run is compared with what it started from: both answer the same items, its held-out rows first. A task file has one item on each line, of one kind:
  {"context": "The sky is", "choices": [" blue", " green"], "gold": 0}            the likelier choice counts, by its summed log-probability
  {"prompt": "2 + 2?", "references": ["4"], "metric": "numeric"}                   answered greedily; "messages" may stand for "prompt"
Metrics: exact (default), contains, regex, numeric, label (with macro-F1), f1, rouge-l, bleu, chrf (the best of several references counts), json ("schema":
a JSON Schema), slots (F1 of the values of a JSON reference), code ("tests" run after the answer's code, "language": "javascript" or "python", in a process
without network, environment or files), judge (--judge compares base and tuned, in both orders), voice (how well answers
pass for the references, texts of a brand: 50 of 100 is that a small classifier cannot tell them apart). --scorer ./score.ts marks them itself:
  export default ({ prompt, answer, references, row }) => answer.length < 200;    // or a number from 0 to 1
Benchmarks are recognised by their columns, or named: ${FORMATS}.

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
