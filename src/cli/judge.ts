import { createInterface } from 'node:readline/promises';
import { TunesmithError } from '../errors/index.ts';
import type { Judge } from '../evaluate/judge.ts';
import type { AnswerTask, Task } from '../evaluate/tasks.ts';
import { askEndpoint } from '../io/chat-endpoint.ts';
import type { Context, OptionSpecs, Values } from './command.ts';
import type { ModelSession } from './domain.ts';
import { requestModel } from './models.ts';
import { domain } from './wiring.ts';

/** Options that say who judges. */
export const judgeOptions = {
  judge: {
    type: 'string',
    value: 'URL|MODEL',
    description:
      'who compares the answers of --task files with the metric judge: an OpenAI-compatible endpoint, or a model here',
  },
  'judge-model': { type: 'string', value: 'NAME', description: 'what the model is called at the endpoint' },
  yes: { type: 'boolean', description: 'agree beforehand that answers are sent to --judge URL' },
} as const satisfies OptionSpecs;

/** Longest verdict with its reasons, in tokens. */
const MAX_TOKENS = 256;

/** A judge that is to be closed. */
export interface OpenJudge extends Judge {
  close(): Promise<void>;
}

/**
 * Opens the judge that the tasks want, after one agreed to send to it what leaves this machine.
 *
 * @throws EVAL_JUDGE, CLI_OPTION_CONFLICT, and the errors of models
 */
export async function openJudge(
  options: Values<typeof judgeOptions>,
  tasks: readonly Task[],
  isCompared: boolean,
  context: Context,
): Promise<OpenJudge | undefined> {
  const wanting = tasks.filter((task) => task.kind === 'answer' && task.marking.kind === 'judge') as AnswerTask[];
  const { judge, 'judge-model': name, yes } = options;
  const conflict = (message: string, fix: string) => new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
  if (judge === undefined) {
    if (wanting.length > 0)
      throw new TunesmithError('EVAL_JUDGE', {
        message: `${wanting[0]!.name} wants a judge.`,
        fix: '--judge URL --judge-model NAME, or --judge MODEL',
      });
    if (name !== undefined || yes === true) throw conflict('--judge-model and --yes go with --judge.', '--judge URL');
    return undefined;
  }
  if (wanting.length === 0)
    throw conflict('--judge has no effect: no --task has the metric judge.', 'leave --judge out');
  if (!isCompared) throw conflict('--judge compares two models, and there is one.', '--against MODEL');
  const items = wanting.reduce((n, task) => n + task.items.length, 0);
  return openNamedJudge(judge, options, `The prompts, references and both answers of ${items} items`, context);
}

/**
 * Opens a judge by its address or as a model of this machine.
 *
 * @param what is sent to it, for the person who has to agree
 * @throws EVAL_JUDGE, CLI_OPTION_CONFLICT, and the errors of models
 */
export async function openNamedJudge(
  judge: string,
  { 'judge-model': name, yes }: Values<typeof judgeOptions>,
  what: string,
  context: Context,
): Promise<OpenJudge> {
  if (!/^https?:\/\//.test(judge)) {
    if (name !== undefined || yes === true)
      throw new TunesmithError('CLI_OPTION_CONFLICT', {
        message: '--judge-model and --yes go with --judge URL.',
        fix: 'leave them out',
      });
    return localJudge(judge, context);
  }
  if (name === undefined)
    throw new TunesmithError('EVAL_JUDGE', {
      message: `--judge ${judge} wants the name of a model there.`,
      fix: '--judge-model NAME',
    });
  await agree(judge, what, yes === true, context);
  const key = context.env.TUNESMITH_JUDGE_KEY;
  const endpoint = { url: judge, model: name, key };
  return {
    name: `${judge} ${name}`,
    ask: (messages, signal) => askEndpoint(endpoint, messages, signal),
    close: async () => {},
  };
}

/** Says what leaves the machine and where it goes, and asks. @throws EVAL_JUDGE where nobody agreed */
export async function agree(url: string, sent: string, isAgreed: boolean, { terminal }: Context): Promise<void> {
  const { hostname, host } = new URL(url);
  if (/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return;
  const what = `${sent} are sent to ${host}.`;
  terminal.say(what);
  if (isAgreed) return;
  const refused = (message: string) => new TunesmithError('EVAL_JUDGE', { message, fix: '--yes agrees beforehand' });
  if (!terminal.live || process.stdin.isTTY !== true) throw refused(`${what} Nobody is here to agree.`);
  const ask = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await ask.question('Send them? [y/N] ');
    if (!/^y(es)?$/i.test(answer.trim())) throw refused('nothing was sent.');
  } finally {
    ask.close();
  }
}

/** A model of this machine; it is loaded when it is first asked. */
async function localJudge(name: string, context: Context): Promise<OpenJudge> {
  const request = await requestModel(name, {}, context);
  let session: Promise<ModelSession> | undefined;
  return {
    name: request.adapter === undefined ? request.path : `${request.path} ${request.adapter}`,
    async ask(messages, signal) {
      session ??= domain.openModel(request);
      const open = await session;
      const sampling = { maxTokens: MAX_TOKENS, temperature: 0, seed: 0, stop: [], precision: 'exact' } as const;
      for await (const event of open.generate([{ kind: 'messages', messages }], { ...sampling, signal })) {
        if (event.type === 'result') return event.text;
      }
      signal.throwIfAborted();
      throw new Error('internal: a judge gave no answer');
    },
    close: async () => (await session)?.close(),
  };
}
