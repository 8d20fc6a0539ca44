import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readJson } from '../../io/files.ts';
import { DEFAULT_MODEL } from '../../model/catalogue.ts';
import type { Message } from '../../text/messages.ts';
import { type Context, defineCommand, INTERRUPTED } from '../command.ts';
import { resolveConfig } from '../config.ts';
import type { ModelRequest, ModelSession } from '../domain.ts';
import { lossText, table } from '../format.ts';
import { offlineOption, requestModel } from '../models.ts';
import { prepare, summaryText, watchRun } from '../training.ts';
import { domain } from '../wiring.ts';

/** The example data lies as deep beneath src as beneath dist. */
const example = (name: string) => fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));

const AnyMessage = z.object({ role: z.enum(['system', 'user', 'assistant', 'tool']), content: z.string() });
const Questions = z.object({
  sideBySide: z.array(z.object({ about: z.string(), messages: z.array(AnyMessage) })),
  tuningDoesNotHelp: z.object({
    messages: z.array(AnyMessage),
    withFact: z.array(AnyMessage),
    answer: z.string(),
  }),
});

/** Some 30,000 tokens: one pass over the example rows. */
const SETTINGS = { epochs: 1, batch: 8, lr: 5e-4, 'eval-every': 22, 'save-every': 1000, keep: 0, eval: false } as const;

/** `tunesmith quickstart`. */
export const quickstart = defineCommand({
  name: 'quickstart',
  summary:
    'The whole story in minutes on a laptop: pull a model, teach it a voice, see what it learned and what it forgot.',
  positionals: [],
  options: { offline: offlineOption },
  examples: ['quickstart'],
  async run(_args, context) {
    const { terminal, signal } = context;
    const chapter = (title: string) => terminal.print(`\n${terminal.colours.bold(title)}`);
    chapter('1. The base model');
    const base = await requestModel(DEFAULT_MODEL, {}, context);
    terminal.print(`${DEFAULT_MODEL} at ${base.path}`);

    chapter('2. Before training');
    const before = await losses(base, signal);
    terminal.print(lossTable([['before', before]]));

    chapter('3. Training on 350 support answers of a bicycle shop');
    const done = await trainIt(base, context);
    if (done === undefined) return INTERRUPTED;

    chapter('4. What it learned, and what it forgot');
    const tuned: ModelRequest = { ...base, adapter: resolve(done.best), run: done.run };
    const after = await losses(tuned, signal);
    terminal.emit({ type: 'quickstart', before, after });
    terminal.print(
      lossTable([
        ['before', before],
        ['after', after],
      ]),
    );
    terminal.print(verdict(before, after));

    await sideBySide(tuned, context, chapter);
    chapter('Where it lies, and what to do next');
    terminal.print(done.summary);
    terminal.print('Your data:    tunesmith init YOUR.jsonl, then tunesmith train');
    return 0;
  },
});

interface Losses {
  /** Nats per token on held-out support answers. */
  readonly heldOut: number;
  /** Nats per token on general text. */
  readonly general: number;
}

async function losses(model: ModelRequest, signal: AbortSignal): Promise<Losses> {
  const mean = async (file: string) => {
    for await (const event of domain.score(model, [example(file)], signal)) {
      if (event.type === 'total' && 'nll' in event) return event.nll / event.tokens;
    }
    signal.throwIfAborted();
    throw new Error(`internal: score gave no total for ${file}`);
  };
  return { heldOut: await mean('support/held-out.jsonl'), general: await mean('general.txt') };
}

function lossTable(rows: readonly (readonly [string, Losses])[]): string {
  const cells = rows.map(([name, l]) => [name, lossText(l.heldOut), lossText(l.general)]);
  return table([['loss, nats per token', 'held-out support answers', 'general text'], ...cells]);
}

function verdict(before: Losses, after: Losses): string {
  const percent = (from: number, to: number) => Math.abs((100 * (to - from)) / from).toFixed(1);
  const learned = after.heldOut < before.heldOut ? 'easier' : 'harder';
  const forgot = after.general > before.general ? 'harder' : 'easier';
  return (
    `Support answers that it never saw: ${percent(before.heldOut, after.heldOut)} % ${learned}. ` +
    `General text: ${percent(before.general, after.general)} % ${forgot}.`
  );
}

async function trainIt(base: ModelRequest, context: Context) {
  const { terminal, signal } = context;
  const data = { data: [example('support/train.jsonl')], valid: example('support/held-out.jsonl') };
  const { config, origins } = resolveConfig({ model: DEFAULT_MODEL, ...data, ...SETTINGS }, undefined);
  const run = await prepare({ kind: 'start', config, origins, base }, context);
  try {
    const watched = await watchRun(run, context);
    if (signal.aborted || watched.done === undefined) {
      terminal.say(`Saved. It goes on with: tunesmith train --resume ${basename(run.path)}`);
      return undefined;
    }
    return { best: watched.done.best, run: run.path, summary: summaryText(run, watched, terminal.columns) };
  } finally {
    await run.close();
  }
}

async function sideBySide(tuned: ModelRequest, context: Context, chapter: (title: string) => void): Promise<void> {
  const { terminal, signal } = context;
  const questions = Questions.parse(readJson(example('support/questions.json')));
  const session = await domain.openModel(tuned);
  try {
    chapter('5. Three questions that it never saw, base and tuned side by side');
    for (const { about, messages } of questions.sideBySide) {
      terminal.print(`\n${terminal.colours.bold(messages.at(-1)?.content ?? '')}  (${about})`);
      for (const base of [true, false])
        await show(session, messages, { base, label: base ? 'base' : 'tuned' }, context);
    }
    chapter('6. Where tuning does not help');
    const { messages, withFact, answer } = questions.tuningDoesNotHelp;
    terminal.print(`${messages.at(-1)?.content ?? ''}`);
    await show(session, messages, { base: false, label: 'tuned' }, context);
    const informed = await show(
      session,
      withFact,
      { base: false, label: 'tuned, with the fact in its context' },
      context,
    );
    const found = informed.includes(answer) ? 'as the second does' : 'and even the second does not: the model is small';
    terminal.print(
      `A right answer holds "${answer}", ${found}. Tuning teaches a voice and a shape of answer. Facts that change belong into the context, ` +
        'where they are looked up for each question (retrieval).',
    );
  } finally {
    await session.close();
  }
  signal.throwIfAborted();
}

/** Shows an answer, and returns it. */
async function show(
  session: ModelSession,
  messages: readonly Message[],
  { base, label }: { readonly base: boolean; readonly label: string },
  { terminal, signal }: Context,
): Promise<string> {
  let text = '';
  const sampling = { maxTokens: 96, temperature: 0, seed: 0, stop: [], precision: 'exact' } as const;
  for await (const event of session.generate([{ kind: 'messages', messages }], { ...sampling, base, signal })) {
    if (event.type !== 'result') continue;
    const question = messages.at(-1)?.content ?? '';
    text = event.text;
    terminal.emit({ type: 'answer', model: base ? 'base' : 'tuned', question, text });
    terminal.print(`  ${label}:\n${text.trim().replace(/^/gm, '    ')}`);
  }
  return text;
}
