import { loadAnswers } from '../../../align/ranking/answers.ts';
import { standings } from '../../../align/ranking/derive.ts';
import { type Desk, openDesk } from '../../../align/ranking/desk.ts';
import { openRankingFile, type RankingFile } from '../../../align/ranking/log.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { type Context, defineCommand, INTERRUPTED } from '../../command.ts';
import { table } from '../../format.ts';
import { openNamedJudge } from '../../judge.ts';
import { askJudge } from '../../prefer/ask-judge.ts';
import { type Drawing, startDrawing } from '../../prefer/drawing.ts';
import { openKeys } from '../../prefer/keys.ts';
import { lockRankings } from '../../prefer/lock.ts';
import { readPrompts } from '../../prefer/prompts.ts';
import { type PreferFlags, type PreferRequest, preferOptions, preferRequest } from '../../prefer/request.ts';
import { drawings, type OpenSources, openSources } from '../../prefer/sources.ts';
import { judgeAtTerminal, type Left } from '../../prefer/terminal.ts';
import { judgeInBrowser } from '../../prefer/web.ts';
import { readSystem, rowReading } from '../../prompts.ts';

/** `tunesmith prefer`. */
export const prefer = defineCommand({
  name: 'prefer',
  summary: 'Lets people rank answers, blind and in random order, for training with --method dpo and its kin.',
  positionals: ['[MODEL|FILE...]'],
  options: preferOptions,
  examples: [
    'prefer smollm2-135m-instruct --prompts prompts.txt --out prefs.jsonl',
    'prefer @last --against base --prompts prompts.txt --web',
    'prefer answers.jsonl --axes helpful,harmless',
    'prefer prefs.jsonl',
  ],
  notes: `MODEL draws answers to each of --prompts (several models, temperatures and the base by turns); FILE has rows with answers that are there already:
{"prompt": "...", "answers": ["...", "..."]}, or pairs {"prompt", "chosen", "rejected"} to be judged anew. Who judges sees neither source nor score.

Every judgement is in --out before the next key is read, so that nothing is lost by Ctrl-C or a crash, and the same command goes on where one stopped.
train takes the file as it is: --method dpo learns its pairs, --method kto what was good or bad. prefer export writes rows for other tools.`,
  async run({ options, positionals }, context) {
    const request = preferRequest(options, positionals, context.env.USER || context.env.USERNAME || 'me');
    const ways = drawings(options);
    const reading = rowReading(options);
    const items = (await Promise.all(request.files.map(loadAnswers))).flat();
    const lock = lockRankings(request.out);
    const open: { file?: RankingFile; sources?: OpenSources } = {};
    try {
      const file = openRankingFile(request.out, options.seed ?? 0);
      open.file = file;
      for (const item of items) file.rankings.items.has(item.id) || file.add({ type: 'item', item });
      const desk = openDesk(telling(file, context), { axes: request.axes, now: () => new Date() });
      const drawing = await begin({ request, options, ways, reading, file, desk }, context, open);
      tellResumed(request, desk, file, context);
      const left = await judge({ request, options, desk, drawing, file }, context).finally(() => drawing?.stop());
      return tellOutcome(left, request, file, context);
    } finally {
      await open.sources?.close();
      open.file?.close();
      lock.release();
    }
  },
});

/** Judgements as lines for machines, as they are given. */
function telling(file: RankingFile, { terminal }: Context): RankingFile {
  return {
    ...file,
    add: (event) => {
      file.add(event);
      if (event.type === 'judgement') terminal.emit({ type: 'judgement', ...event.judgement });
      else if (event.type === 'undo') terminal.emit(event);
    },
  };
}

interface Beginning {
  readonly request: PreferRequest;
  readonly options: PreferFlags;
  readonly ways: ReturnType<typeof drawings>;
  readonly reading: ReturnType<typeof rowReading>;
  readonly file: RankingFile;
  readonly desk: Desk;
}

/** Opens the models and starts to draw, if there is anything to draw. */
async function begin(
  { request, options, ways, reading, file, desk }: Beginning,
  context: Context,
  open: { sources?: OpenSources },
): Promise<Drawing | undefined> {
  const { models, prompts: name, answers } = request;
  if (name === undefined) return undefined;
  const against = options.against === 'base';
  const opened = await openSources({ models, flags: options, against, drawings: ways }, context);
  open.sources = opened;
  const { sources } = opened;
  if (sources.length > answers) {
    const message = `--answers ${answers} leaves some of the ${sources.length} models and temperatures without an answer.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: `--answers ${sources.length}` });
  }
  if (answers > sources.length && ways.every(({ temperature }) => temperature === 0)) {
    const message = `at --temperature 0 there are ${sources.length} answers to a prompt, not ${answers}.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: '--temperature 0.8, say' });
  }
  const prompts = await readPrompts(name, sources[0]!.session, reading, await readSystem(options.system));
  return startDrawing({ prompts: prompts.slice(0, options.limit), sources, count: answers, file, desk });
}

function tellResumed(
  { raters, out }: PreferRequest,
  desk: Desk,
  { rankings }: RankingFile,
  { terminal }: Context,
): void {
  if (rankings.items.size === 0 && !desk.view(raters[0]!).isDrawing) {
    throw new TunesmithError('PREFER_NOTHING', {
      message: 'holds no prompt with answers.',
      file: out,
      fix: 'give --prompts',
    });
  }
  for (const rater of raters) {
    const { done, total } = desk.view(rater).progress;
    if (done > 0) terminal.say(`${out}: ${rater} has judged ${done} of ${total}; going on.`);
  }
}

interface Judging {
  readonly request: PreferRequest;
  readonly options: PreferFlags;
  readonly desk: Desk;
  readonly drawing: Drawing | undefined;
  readonly file: RankingFile;
}

async function judge({ request, options, desk, drawing, file }: Judging, context: Context): Promise<Left> {
  if (options.judge !== undefined) return judgeByModel({ request, options, desk, drawing, file }, context);
  const changed = () => drawing?.changed() ?? Promise.resolve();
  const keys = openKeys(process.stdin, process.stderr);
  try {
    const { raters, axes } = request;
    if (options.web !== true) return await judgeAtTerminal({ desk, rater: raters[0]!, keys, changed }, context);
    const { rankings } = file;
    return await judgeInBrowser({ desk, rankings, axis: axes[0]!, raters, port: options.port, keys, changed }, context);
  } finally {
    keys.close();
  }
}

async function judgeByModel({ request, options, desk, drawing, file }: Judging, context: Context): Promise<Left> {
  const judge = await openNamedJudge(options.judge!, options, `The prompts and answers of ${request.out}`, context);
  const rater = { name: request.raters[0]!, kind: 'model' } as const;
  const changed = () => drawing?.changed() ?? Promise.resolve();
  try {
    return await askJudge({ judge, rater, file: telling(file, context), desk, changed }, context);
  } finally {
    await judge.close();
  }
}

function tellOutcome(
  left: Left,
  { out, raters, axes }: PreferRequest,
  { rankings }: RankingFile,
  { terminal }: Context,
): number {
  const own = rankings.judgements().filter(({ rater }) => raters.includes(rater.name));
  const judged = own.filter(({ opinion }) => opinion !== undefined).length;
  const skipped = own.length - judged;
  terminal.emit({ type: 'done', out, left, items: rankings.items.size, judged, skipped });
  const passed = skipped === 0 ? '' : `, ${skipped} skipped`;
  terminal.print(`\n${out}: ${judged} judged${passed}.`);
  if (left !== 'done') {
    terminal.say(`All of it is saved; tunesmith prefer ${out} goes on.`);
    return left === 'interrupted' ? INTERRUPTED : 0;
  }
  const won = standings(rankings, { axis: axes[0]!, raters });
  if (won.length > 1) {
    const rows = won.map(({ by, won: times, of }) => [by, `${times} of ${of}`, `${Math.round((100 * times) / of)} %`]);
    terminal.print(`\n${table([['answers of', 'preferred', 'share'], ...rows])}`);
  }
  if (judged > 0) terminal.print(`\ntunesmith train --method dpo --data ${out}`);
  return 0;
}
