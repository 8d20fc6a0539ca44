import { promptText } from '../align/online/dry-run.ts';
import type { AnswerToReward, OpenReward, Reward } from '../align/online/rewards.ts';
import { TunesmithError } from '../errors/index.ts';
import { askEndpoint } from '../io/chat-endpoint.ts';
import { fileExists, readJson } from '../io/index.ts';
import { importDefault } from '../io/load-module.ts';
import type { Judge } from './judge.ts';
import { judgePlace, markedBy } from './judge-reward.ts';
import { passes } from './mark.ts';
import { METRICS, type Metric, markOf, rowFault } from './scorers/index.ts';
import { isJson, type JsonSchema, schemaFault } from './scorers/structured.ts';

/** What a function of the user's is told of an answer. */
export interface RewardContext {
  readonly prompt: string;
  readonly answer: string;
  /** Right answers that the row brings. */
  readonly references: readonly string[];
  /** All columns of the row. */
  readonly row: Readonly<Record<string, unknown>>;
}

/** A function of the user's, the default export of a file: says what an answer is worth. */
export type RewardFunction = (context: RewardContext) => number | Promise<number>;

/** What compares with the row's right answer. */
const COMPARING: readonly string[] = METRICS.filter((metric) => metric !== 'label' && metric !== 'json');

/**
 * What opens verifiers, functions and judges by their names.
 *
 * @param judgeKey opens the endpoint of a judge
 * @throws REWARD_UNKNOWN, REWARD_FAILED, CLI_OPTION_VALUE, FILE_NOT_FOUND when it opens
 */
export function verifiers({ judgeKey }: { readonly judgeKey?: string | undefined }): OpenReward {
  return async (name) => {
    const place = judgePlace(name);
    if (place === undefined) return openVerifier(name);
    const ask: Judge['ask'] = (messages, signal) => askEndpoint({ ...place, key: judgeKey }, messages, signal);
    return markedBy({ name: `${place.url} ${place.model}`, ask });
  };
}

const openVerifier: OpenReward = async (name) => {
  if (/\.[mc]?[tj]s$/.test(name)) return ofFunction(name);
  if (COMPARING.includes(name)) return comparing(name as Metric);
  if (name === 'code') return passingCode();
  const at = name.indexOf(':');
  const [kind, argument] = at < 0 ? [name, undefined] : [name.slice(0, at), name.slice(at + 1)];
  if (kind === 'regex' && argument !== undefined) return matching(argument);
  if (kind === 'length' && argument !== undefined) return withinLength(argument);
  if (kind === 'json') return validJson(argument);
  return undefined;
};

function ofEach(name: string, needsReference: boolean, score: (answer: AnswerToReward) => number): Reward {
  return { name, needsReference, score: async (answers) => answers.map(score) };
}

/** What an answer is worth beside the row's right ones, see {@link markOf}. */
function comparing(metric: Metric): Reward {
  return ofEach(metric, true, ({ text, prompt: { references, row } }) => {
    const fault = rowFault(metric, { references });
    if (fault === undefined) return markOf(metric, text, { references });
    throw new TunesmithError('REWARD_REFERENCE', {
      ...row.source,
      message: `${fault}, which ${metric} can't compare with.`,
    });
  });
}

/** 1 for an answer whose code passes the tests of its row: columns `tests`, and `language` (javascript or python). */
function passingCode(): Reward {
  const worth = async ({ text, prompt: { fields, row } }: AnswerToReward, signal: AbortSignal) => {
    const { tests, language = 'javascript' } = fields;
    if (typeof tests !== 'string' || (language !== 'javascript' && language !== 'python')) {
      const message = 'brings no column tests of code, or a language that is neither javascript nor python.';
      throw new TunesmithError('REWARD_REFERENCE', { ...row.source, message });
    }
    const passed = await passes(text, { tests, language }, signal);
    if (passed === undefined) {
      const message = 'brings tests in Python, and python3 is not on this machine.';
      throw new TunesmithError('REWARD_REFERENCE', { ...row.source, message });
    }
    return passed ? 1 : 0;
  };
  return {
    name: 'code',
    needsReference: false,
    score: async (answers, signal) => {
      const values: number[] = [];
      for (const answer of answers) values.push(await worth(answer, signal));
      return values;
    },
  };
}

/** 1 for an answer that matches the pattern. */
function matching(pattern: string): Reward {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, 'su');
  } catch (cause) {
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: `--reward regex:${pattern} is no regular expression.`,
      cause,
    });
  }
  return ofEach('regex', false, ({ text }) => (expression.test(text) ? 1 : 0));
}

/** 1 within so many characters, less the further away: a slope that leads there. */
function withinLength(range: string): Reward {
  const [, low, high] = /^(\d+)-(\d+)$/.exec(range) ?? [];
  const [least, most] = [Number(low), Number(high)];
  if (!(least <= most && most > 0)) {
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: `--reward length:${range} is no range such as length:10-200, in characters.`,
    });
  }
  return ofEach('length', false, ({ text: { length } }) => {
    const away = Math.max(0, least - length, length - most);
    return Math.max(0, 1 - away / most);
  });
}

/** 1 for an answer that is JSON, and of the schema where one is given. */
function validJson(file: string | undefined): Reward {
  const schema = file === undefined ? undefined : (readJson(file) as JsonSchema);
  const fault = schema === undefined ? undefined : schemaFault(schema);
  if (fault !== undefined) throw new TunesmithError('REWARD_FAILED', { file, message: `is no JSON schema: ${fault}.` });
  return ofEach('json', false, ({ text }) => (isJson(text, schema) ? 1 : 0));
}

async function ofFunction(file: string): Promise<Reward> {
  if (!fileExists(file)) throw new TunesmithError('FILE_NOT_FOUND', { file, message: 'is not there.' });
  let found: unknown;
  try {
    found = await importDefault(file);
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new TunesmithError('REWARD_FAILED', { file, message: `cannot be loaded: ${why}`, cause });
  }
  if (typeof found !== 'function') {
    throw new TunesmithError('REWARD_FAILED', { file, message: 'has no default export that is a function.' });
  }
  const give = found as RewardFunction;
  return {
    name: 'function',
    needsReference: false,
    score: (answers) =>
      Promise.all(
        answers.map(({ text: answer, prompt: { row, references, fields } }) =>
          give({ prompt: promptText(row), answer, references, row: fields }),
        ),
      ),
  };
}
