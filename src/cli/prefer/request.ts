import { basename } from 'node:path';
import { MOST_ANSWERS } from '../../align/ranking/answers.ts';
import { isRankingHead } from '../../align/ranking/log.ts';
import { AXES, type Axis } from '../../align/ranking/types.ts';
import { isDocumentOrData } from '../../data/index.ts';
import { nearestName, TunesmithError } from '../../errors/index.ts';
import { fileExists, readText } from '../../io/index.ts';
import type { Values } from '../command.ts';
import { judgeOptions } from '../judge.ts';
import { modelOptions } from '../models.ts';
import { rowOptions } from '../prompts.ts';
import { drawOptions } from './sources.ts';

/** Options of `tunesmith prefer`. */
export const preferOptions = {
  prompts: {
    type: 'string',
    value: 'FILE',
    description: 'what is asked: rows as generate takes them, or .txt with one on each line',
  },
  out: { type: 'string', value: 'FILE', description: 'the file of rankings, which only grows (default: prefs.jsonl)' },
  answers: { type: 'integer', value: 'N', description: `answers to each prompt, 1 to ${MOST_ANSWERS}`, default: '4' },
  limit: { type: 'integer', value: 'N', description: 'only the first N prompts' },
  against: { type: 'string', choices: ['base'], description: 'the base of an adapter answers too' },
  axes: {
    type: 'string',
    value: 'AXIS,...',
    many: true,
    description: `what is asked of each prompt: ${AXES.join(', ')}`,
  },
  rater: {
    type: 'string',
    value: 'NAME',
    many: true,
    description: 'who judges (default: the login name); several with --web',
  },
  web: { type: 'boolean', description: 'judge in the browser instead of the terminal' },
  port: { type: 'integer', value: 'N', description: 'port of --web (default: a free one)' },
  system: { type: 'string', value: 'TEXT|FILE', description: 'system prompt for prompts without one' },
  ...judgeOptions,
  judge: {
    type: 'string',
    value: 'URL|MODEL',
    description: 'a model ranks instead of people: an OpenAI-compatible endpoint, or a model here',
  },
  ...modelOptions,
  ...drawOptions,
  ...rowOptions,
} as const;

/** The given values of {@link preferOptions}. */
export type PreferFlags = Values<typeof preferOptions>;

/** What is to be judged, by whom, and where it goes. */
export interface PreferRequest {
  readonly out: string;
  /** Names of models that draw. */
  readonly models: readonly string[];
  /** Files with answers that are there already. */
  readonly files: readonly string[];
  readonly prompts: string | undefined;
  readonly answers: number;
  readonly axes: readonly Axis[];
  readonly raters: readonly string[];
}

/** Options that shape drawing, and nothing else. */
const OF_DRAWING = [
  'answers',
  'limit',
  'against',
  'system',
  'model',
  'adapter',
  'temperature',
  'max-tokens',
  'precision',
  'top-k',
  'top-p',
  'min-p',
  'repetition-penalty',
  'stop',
] as const;

/** Reads the command line. @throws CLI_ARGUMENT, CLI_OPTION_VALUE, CLI_OPTION_CONFLICT, FILE_NOT_FOUND */
export function preferRequest(flags: PreferFlags, positionals: readonly string[], login: string): PreferRequest {
  const named = [...positionals, ...(flags.model === undefined ? [] : [flags.model])];
  const given = named.filter(isFileOfRows);
  const logs = given.filter(isRankingFile);
  const files = given.filter((name) => !logs.includes(name));
  const models = named.filter((name) => !given.includes(name));
  if (logs.length > 1 || (logs.length === 1 && flags.out !== undefined && flags.out !== logs[0])) {
    const message = `${logs.at(-1)} is a file of rankings, and another one is written to.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: `tunesmith prefer ${logs[0]} goes on with it` });
  }
  const out = flags.out ?? logs[0] ?? 'prefs.jsonl';
  const { prompts } = flags;
  requirePrompts({ prompts, models, files, out }, flags);
  return {
    out,
    models: models.length === 0 && prompts !== undefined ? ['@last'] : models,
    files,
    prompts,
    answers: between('answers', flags.answers ?? 4, 1, MOST_ANSWERS),
    axes: axesOf(flags.axes),
    raters: ratersOf(flags, login),
  };
}

function requirePrompts(
  { prompts, models, files, out }: Pick<PreferRequest, 'prompts' | 'models' | 'files' | 'out'>,
  flags: PreferFlags,
): void {
  if (prompts !== undefined && files.length > 0 && models.length === 0) {
    const message = `${files[0]} brings its own prompts, so --prompts has no effect beside it.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
  if (prompts !== undefined) {
    if (flags.limit !== undefined) between('limit', flags.limit, 1, Number.MAX_SAFE_INTEGER);
    return;
  }
  if (models.length > 0) {
    const message = `${models[0]} is to answer, and no --prompts say what.`;
    const near = nearestName(models[0]!, ['export', 'import', 'agreement']);
    throw new TunesmithError('CLI_ARGUMENT', {
      message,
      fix: near ? `did you mean prefer ${near}?` : '--prompts FILE',
    });
  }
  const useless = OF_DRAWING.find((name) => flags[name] !== undefined);
  if (useless !== undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--${useless} has no effect without --prompts.` });
  }
  if (files.length > 0 || fileExists(out)) return;
  throw new TunesmithError('CLI_ARGUMENT', {
    message: 'there is nothing to judge yet: no --prompts, and no file with answers.',
    fix: 'tunesmith prefer MODEL --prompts prompts.txt',
  });
}

function isFileOfRows(name: string): boolean {
  return isDocumentOrData(name) && !/\.md$/i.test(name);
}

function isRankingFile(name: string): boolean {
  if (!fileExists(name) || !name.endsWith('.jsonl')) return false;
  const text = readText(name);
  const end = text.indexOf('\n');
  try {
    return isRankingHead(JSON.parse(end < 0 ? text : text.slice(0, end)));
  } catch {
    return false;
  }
}

function axesOf(given: readonly string[] = ['overall']): Axis[] {
  const names = given.flatMap((list) => list.split(',')).map((name) => name.trim());
  const wrong = names.find((name) => !AXES.some((axis) => axis === name));
  if (wrong !== undefined) {
    const near = nearestName(wrong, AXES);
    const fix = near === undefined ? undefined : `did you mean ${near}?`;
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `--axes ${wrong} is not one of ${AXES.join(', ')}.`, fix });
  }
  return AXES.filter((axis) => names.includes(axis));
}

function judgeName(flags: PreferFlags): string | undefined {
  const { judge, 'judge-model': name } = flags;
  if (judge === undefined) {
    const stray = (['judge-model', 'yes'] as const).find((option) => flags[option] !== undefined);
    if (stray === undefined) return undefined;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--${stray} goes with --judge URL.` });
  }
  const useless = (['rater', 'web', 'axes'] as const).find((option) => flags[option] !== undefined);
  if (useless === undefined) return `judge ${name ?? basename(judge)}`;
  throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--${useless} is for people, and --judge asks a model.` });
}

function ratersOf(flags: PreferFlags, login: string): string[] {
  const { rater, web, port } = flags;
  if (rater !== undefined) judgeName(flags);
  if (port !== undefined && web !== true) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--port has no effect without --web.' });
  }
  if (port !== undefined) between('port', port, 1, 65535);
  const names = rater ?? [judgeName(flags) ?? login];
  if (names.some((name) => name.trim() === '') || new Set(names).size < names.length) {
    throw new TunesmithError('CLI_OPTION_VALUE', { message: '--rater takes names, each once.' });
  }
  if (names.length > 1 && web !== true) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: 'one person at a time judges in a terminal.',
      fix: '--web',
    });
  }
  return [...names];
}

function between(name: string, value: number, low: number, high: number): number {
  if (value >= low && value <= high) return value;
  const range = high > 1e9 ? `at least ${low}` : `from ${low} to ${high}`;
  throw new TunesmithError('CLI_OPTION_VALUE', { message: `--${name} ${value} is not ${range}.` });
}
