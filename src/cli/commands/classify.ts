import { TunesmithError } from '../../errors/index.ts';
import type { Classification } from '../../evaluate/classification.ts';
import { classifyFile } from '../classify-file.ts';
import { defineCommand } from '../command.ts';
import { table } from '../format.ts';
import { modelName, modelOptions, requestModel } from '../models.ts';
import { rowOptions, rowReading } from '../prompts.ts';
import { domain } from '../wiring.ts';

/** `tunesmith classify`. */
export const classify = defineCommand({
  name: 'classify',
  summary: 'Labels texts or conversations with a model that was trained with --method classify.',
  positionals: ['[MODEL]'],
  options: {
    ...modelOptions,
    text: { type: 'string', value: 'TEXT', many: true, description: 'a text to classify' },
    data: {
      type: 'string',
      value: 'FILE',
      description: 'rows with text or messages; labels that they bring are compared',
    },
    out: {
      type: 'string',
      value: 'FILE',
      description: 'where the labels of --data go; an unfinished file is completed',
    },
    ...rowOptions,
  },
  examples: [
    'classify @last --text "You have won a prize, call now"',
    'classify spam-v1 --data messages.jsonl --out labelled.jsonl',
  ],
  notes:
    'A result is {"labels":[...],"confident":[...],"noneOfThese":false,"probabilities":{...}}: the likeliest label (of several labels: all of at least one half),\n' +
    'those that reach the threshold which training chose for --precision, and whether the input is unlike what was trained. MODEL is @last if not given.',
  async run({ options, positionals }, context) {
    const { terminal, signal } = context;
    const { text, data, out } = options;
    requireInput(text, data, out);
    if (data === undefined && (options.role ?? options.map ?? options.allow) !== undefined) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--role, --map and --allow go with --data.' });
    }
    const reading = rowReading(options);
    const model = await requestModel(modelName(positionals[0], options.model) ?? '@last', options, context);
    const session = await domain.openClassifier(model);
    try {
      if (session.calibration === null) {
        terminal.say(
          'Not calibrated: probabilities are as they come, no label is confident, nothing is none of these.',
        );
      }
      if (data !== undefined && out !== undefined) await classifyFile({ session, data, reading, out }, context);
      else {
        const inputs = (text ?? []).map((one) => ({ kind: 'text', text: one }) as const);
        let index = 0;
        for await (const result of session.classify(inputs, { signal })) {
          terminal.emit({ type: 'result', index, text: inputs[index]!.text, ...result });
          terminal.print(resultText(inputs[index++]!.text, result));
        }
      }
    } finally {
      await session.close();
    }
    signal.throwIfAborted();
    return 0;
  },
});

function requireInput(text: readonly string[] | undefined, data: string | undefined, out: string | undefined): void {
  if (text === undefined && data === undefined) {
    throw new TunesmithError('CLI_ARGUMENT', {
      message: 'nothing to classify is named.',
      fix: '--text TEXT, or --data FILE --out FILE',
    });
  }
  if (text !== undefined && (data ?? out) !== undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--text does not go with --data and --out.' });
  }
  if ((data === undefined) !== (out === undefined)) {
    throw new TunesmithError('CLI_ARGUMENT', { message: '--data and --out go together.', fix: 'give both' });
  }
  const empty = text?.findIndex((one) => one.trim() === '') ?? -1;
  if (empty >= 0) throw new TunesmithError('CLI_OPTION_VALUE', { message: '--text is empty.' });
}

/** Labels that are shown with their probabilities. */
const SHOWN = 3;

function resultText(text: string, { labels, confident, noneOfThese, probabilities }: Classification): string {
  const likely = Object.entries(probabilities)
    .sort(([, a], [, b]) => b - a)
    .slice(0, SHOWN)
    .map(([label, p]) => [`  ${label}`, p.toFixed(3), confident?.includes(label) ? 'confident' : '']);
  const verdict = noneOfThese ? 'none of these' : labels.length === 0 ? 'no label' : labels.join(', ');
  const brief = text.replace(/\s+/g, ' ');
  return `${brief.length > 70 ? `${brief.slice(0, 69)}…` : brief}\n${verdict}\n${table(likely)}`;
}
