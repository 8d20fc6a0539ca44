import { createInterface } from 'node:readline';
import { TunesmithError } from '../../errors/index.ts';
import { openAppender } from '../../io/files.ts';
import { type Context, defineCommand } from '../command.ts';
import { openConversation } from '../conversation.ts';
import type { GenerateEvent, ModelSession } from '../domain.ts';
import { modelName, modelOptions, requestModel } from '../models.ts';
import { readSystem } from '../prompts.ts';
import { lengthText, PRECISION_NOTE, roundingText, samplingOf, samplingOptions } from '../sampling.ts';
import { domain } from '../wiring.ts';

/** `tunesmith chat`. */
export const chat = defineCommand({
  name: 'chat',
  summary: 'Talks with a model or a run in the terminal. Without MODEL: the run that was active last.',
  positionals: ['[MODEL]'],
  options: {
    ...modelOptions,
    system: { type: 'string', value: 'TEXT|FILE', description: 'system prompt' },
    base: { type: 'boolean', description: 'start with the base model' },
    feedback: {
      type: 'string',
      value: 'FILE',
      description: 'where /good, /bad and /fix go',
      default: 'feedback.jsonl',
    },
    ...samplingOptions,
  },
  examples: ['chat', 'chat smollm2-135m-instruct --system "You are brief."'],
  notes: `Inside: /base /system /reset /good /bad /fix /help /exit. Ctrl-C stops an answer; at the prompt it leaves.

Feedback is a line of JSON for each judgement, in the form that preference training takes, with messages as {role, content}:
  /good, /bad  {"prompt": [...], "completion": [answer], "label": true|false}
  /fix TEXT    {"prompt": [...], "chosen": [better], "rejected": [answer]}

${PRECISION_NOTE}`,
  async run({ options, positionals }, context) {
    const sampling = samplingOf(options);
    const model = await requestModel(modelName(positionals[0], options.model) ?? '@last', options, context);
    const session = await domain.openModel(model);
    try {
      if (session.format === 'raw') {
        const message = 'this model has no chat template, so nobody can talk with it.';
        throw new TunesmithError('CLI_ARGUMENT', { message, fix: 'tunesmith generate --prompt TEXT' });
      }
      if (options.base && !session.hasAdapter) {
        throw new TunesmithError('CLI_OPTION_CONFLICT', {
          message: '--base has no effect on a model without an adapter.',
        });
      }
      context.signal.throwIfAborted();
      const { base = false, feedback = 'feedback.jsonl' } = options;
      const system = await readSystem(options.system);
      const rounding = sampling.precision === 'fast' ? roundingText(session.roundedByFast) : undefined;
      if (rounding !== undefined) context.terminal.say(rounding);
      const appendTo = (row: object) => {
        const appender = openAppender(feedback);
        appender.append(`${JSON.stringify(row)}\n`);
        appender.close();
        return feedback;
      };
      await talk(session, context, { sampling, system, base }, appendTo);
    } finally {
      await session.close();
    }
    return 0;
  },
});

async function talk(
  session: ModelSession,
  { terminal, signal }: Context,
  options: Parameters<typeof openConversation>[2],
  feedback: (row: object) => string,
): Promise<void> {
  const io = {
    stream: (text: string) => (terminal.json ? undefined : terminal.stream(text)),
    print: (text: string) => terminal.print(text),
    result: (event: GenerateEvent & { type: 'result' }) => {
      terminal.emit(event);
      const cut = lengthText(event, options.sampling.maxTokens, session.contextLength);
      if (cut !== undefined) terminal.say(cut);
    },
    feedback,
  };
  const conversation = openConversation(session, io, options);
  const watched = process.stdin.isTTY === true;
  const lines = createInterface({ input: process.stdin, ...(watched && { output: process.stderr }), prompt: '> ' });
  // Ctrl-C ends the answer that is being given; where none is, it ends the chat.
  let answering: AbortController | undefined;
  const interrupt = () => (answering === undefined ? lines.close() : answering.abort());
  lines.on('SIGINT', interrupt);
  signal.addEventListener('abort', interrupt);
  terminal.say('Ctrl-D leaves; /help lists what else there is.');
  if (watched) lines.prompt();
  try {
    for await (const line of lines) {
      answering = new AbortController();
      const goOn = await conversation.take(line, answering.signal);
      answering = undefined;
      if (!goOn || signal.aborted) break;
      if (watched) lines.prompt();
    }
  } finally {
    lines.close();
    signal.removeEventListener('abort', interrupt);
    if (watched) terminal.say('');
  }
  signal.throwIfAborted();
}
