import { TunesmithError } from '../../errors/index.ts';
import { answerFile } from '../answers.ts';
import { bestOf, bestOfFile, bestOfOptions } from '../best-of.ts';
import { type Context, defineCommand } from '../command.ts';
import type { ModelSession, Prompt, Sampling } from '../domain.ts';
import { modelName, modelOptions, requestModel } from '../models.ts';
import { readMessagesFile, readSystem, requireQuestion, rowOptions, rowReading } from '../prompts.ts';
import { lengthText, PRECISION_NOTE, roundingText, samplingOf, samplingOptions } from '../sampling.ts';
import { domain } from '../wiring.ts';

/** `tunesmith generate`. */
export const generate = defineCommand({
  name: 'generate',
  summary: 'Answers prompts: texts, conversations, or a whole file of rows.',
  positionals: ['[MODEL]'],
  options: {
    ...modelOptions,
    prompt: { type: 'string', value: 'TEXT', many: true, description: 'a question, or raw text to go on with' },
    messages: { type: 'string', value: 'FILE', description: 'an array of messages or {messages}; .jsonl: several' },
    data: { type: 'string', value: 'FILE', description: 'rows to answer; an answer that they end with is cut off' },
    out: {
      type: 'string',
      value: 'FILE',
      description: 'where the answers to --data go; a file that was cut short is completed',
    },
    ...rowOptions,
    against: { type: 'string', choices: ['base'], description: "adds the base model's answer beside each of --data" },
    base: { type: 'boolean', description: 'without the adapter' },
    format: { type: 'string', choices: ['chat', 'raw'], description: 'how --prompt is read (default: as the model)' },
    system: { type: 'string', value: 'TEXT|FILE', description: 'system prompt for --prompt' },
    ...samplingOptions,
    ...bestOfOptions,
  },
  examples: [
    'generate smollm2-135m-instruct --prompt "Name three bicycle parts."',
    'generate @last --prompt "My chain slips." --temperature 0.7 --seed 1',
    'generate @last --data held-out.jsonl --out answers.jsonl --against base',
    'generate @last --data questions.jsonl --out best.jsonl --best-of 8 --temperature 1 --reward numeric --least 1',
  ],
  notes: `--data takes the rows of train, and questions alone: {prompt}, or {messages} that end with the user. OUT gets a line for each,
{"index", "text", "stop", "reference"?, "base"?}; OUT.meta.json beside it says what made them, and the same command goes on where one stopped. With --best-of OUT
holds rows to train on, {"index", "messages" (or "prompt" and "completion"), "reward", "mean_reward"}: the answer that is worth most.

${PRECISION_NOTE}`,
  async run({ options, positionals }, context) {
    const { data, out, messages, prompt } = options;
    const sources = [data, messages, prompt].filter((source) => source !== undefined).length;
    if (sources !== 1) {
      throw new TunesmithError('CLI_ARGUMENT', {
        message: 'generate takes --prompt, --messages or --data, and just one of them.',
        fix: 'tunesmith generate @last --prompt "..."',
      });
    }
    if ((data === undefined) !== (out === undefined)) {
      throw new TunesmithError('CLI_ARGUMENT', { message: '--data and --out go together.' });
    }
    const useless = data === undefined ? options.against && '--against' : options.base && options.against && '--base';
    if (useless) throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `${useless} has no effect here.` });
    if (prompt === undefined && (options.system ?? options.format) !== undefined) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--system and --format go with --prompt.' });
    }
    const unread =
      data === undefined &&
      ((options.allow && '--allow') || (options.map && '--map') || (prompt && options.role && '--role'));
    if (unread) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `${unread} has no effect without --data.` });
    }
    const sampling = samplingOf(options);
    const best = await bestOf(options, sampling, context);
    const reading = rowReading(options);
    const conversations = messages === undefined ? undefined : readMessagesFile(messages, reading).map(requireQuestion);
    const model = await requestModel(modelName(positionals[0], options.model) ?? '@last', options, context);
    const session = await domain.openModel(model);
    try {
      if ((options.base || options.against !== undefined) && !session.hasAdapter) {
        const message = `${options.base ? '--base' : '--against base'} has no effect on a model without an adapter.`;
        throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
      }
      const rounding = sampling.precision === 'fast' ? roundingText(session.roundedByFast) : undefined;
      if (rounding !== undefined) context.terminal.say(rounding);
      const base = options.base ?? false;
      if (data !== undefined && out !== undefined) {
        const against = options.against !== undefined;
        if (best !== undefined) await bestOfFile({ session, data, reading, out, base, sampling, ...best }, context);
        else await answerFile({ session, data, reading, out, against, base, sampling }, context);
      } else {
        const format = options.format === 'raw' || options.format === 'chat' ? options.format : session.format;
        const system = await readSystem(options.system);
        const prompts = conversations ?? (prompt ?? []).map((text) => asPrompt(text, format, system));
        await answer(session, prompts, { ...sampling, base }, context);
      }
    } finally {
      await session.close();
    }
    context.signal.throwIfAborted();
    return 0;
  },
});

/** Why an answer ended, for people. */
const ENDED = { eot: 'ended by the model', string: 'ended by --stop', length: 'cut' } as const;

function asPrompt(text: string, format: 'chat' | 'raw', system: string | undefined): Prompt {
  if (format === 'chat') {
    if (text.trim() === '') throw new TunesmithError('CLI_OPTION_VALUE', { message: '--prompt is empty.' });
    const first = system === undefined ? [] : [{ role: 'system', content: system } as const];
    return { kind: 'messages', messages: [...first, { role: 'user', content: text }] };
  }
  if (system === undefined) return { kind: 'text', text };
  throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--system has no place in raw text.' });
}

async function answer(
  session: ModelSession,
  prompts: readonly Prompt[],
  options: Sampling & { base: boolean },
  { terminal, signal }: Context,
): Promise<void> {
  const results = [];
  for await (const event of session.generate(prompts, { ...options, signal })) {
    if (event.type === 'result') results.push(event);
    else if (prompts.length === 1 && !terminal.json) terminal.stream(event.text);
  }
  if (signal.aborted && prompts.length === 1) terminal.print('');
  results.sort((a, b) => a.index - b.index);
  for (const result of results) {
    terminal.emit(result);
    if (!terminal.json) terminal.print(prompts.length === 1 ? '' : `--- ${result.index + 1}\n${result.text}`);
    const ended = lengthText(result, options.maxTokens, session.contextLength) ?? ENDED[result.stop];
    terminal.say(`${result.tokens} tokens, ${result.tokensPerSecond.toFixed(1)} tokens/s, ${ended}`);
  }
}
