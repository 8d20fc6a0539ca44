import { createHash } from 'node:crypto';
import type { Fields } from '../../data/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import type { Message } from '../../text/index.ts';
import type { Judged } from './derive.ts';
import { itemId } from './log.ts';
import type { DrawnAnswer, Opinion, Ranking, RankingItem } from './types.ts';
import { promptParts } from './words.ts';

/** An item, and what each rater of a row said of it. */
export interface ImportedItem {
  readonly item: RankingItem;
  readonly opinions: readonly { readonly rater: string | undefined; readonly opinion: Opinion }[];
}

const PROMPTS = ['prompt', 'instruction', 'question', 'input', 'text'] as const;
const RESPONSE = /^(?:response|reply|generation|answer|completion)[-_ ]?(\d+)$/i;

/**
 * Reads a record of Argilla, nested (`{fields, responses}`) or flat (`preference.responses`, `preference.responses.users`), with a ranking question over
 * fields such as `response-1`; or one of distilabel, `{instruction, generations, ratings}`. Undefined comes back of anything else.
 */
export function readArgilla(value: unknown): ImportedItem | undefined {
  if (!isRecord(value)) return undefined;
  if (Array.isArray(value.generations) && Array.isArray(value.ratings)) return distilabel(value);
  const fields = isRecord(value.fields) ? value.fields : value;
  const names = Object.keys(fields).filter((name) => RESPONSE.test(name) && typeof fields[name] === 'string');
  const prompt = promptOf(fields);
  if (prompt === undefined || names.length < 2) return undefined;
  const item = itemOf(
    prompt,
    names.map((name) => ({ text: fields[name] as string, by: name })),
  );
  const said = isRecord(value.responses) ? nested(value.responses) : flat(value);
  const opinions = said.flatMap(({ rater, value: order }) => {
    const ranking = rankingOf(order, names);
    return ranking === undefined ? [] : [{ rater, opinion: { ranking } }];
  });
  return { item, opinions };
}

function distilabel({ generations, ratings, ...fields }: Fields): ImportedItem | undefined {
  const prompt = promptOf(fields);
  const texts = generations as unknown[];
  const scores = ratings as unknown[];
  const isWhole = texts.length > 1 && texts.length === scores.length && texts.every((text) => typeof text === 'string');
  if (prompt === undefined || !isWhole || !scores.every((score) => typeof score === 'number')) return undefined;
  const models = Array.isArray(fields.models ?? fields.generation_models)
    ? ((fields.models ?? fields.generation_models) as unknown[])
    : [];
  const item = itemOf(
    prompt,
    (texts as string[]).map((text, i) => ({ text, by: String(models[i] ?? 'generations') })),
  );
  const groups = ranked(scores.map((score, i) => ({ at: i, rank: -(score as number) })));
  return { item, opinions: [{ rater: undefined, opinion: { ranking: { groups } } }] };
}

function promptOf(fields: Fields): string | undefined {
  return PROMPTS.map((name) => fields[name]).find(
    (value): value is string => typeof value === 'string' && value !== '',
  );
}

function itemOf(prompt: string, answers: readonly DrawnAnswer[]): RankingItem {
  const messages: readonly Message[] = [{ role: 'user', content: prompt }];
  return {
    id: itemId(
      messages,
      answers.map(({ text }) => text),
    ),
    prompt: messages,
    answers,
  };
}

interface Said {
  readonly rater: string | undefined;
  readonly value: unknown;
}

function nested(responses: Fields): Said[] {
  const lists = Object.values(responses).filter(
    (list) => Array.isArray(list) && list.some((one) => isRecord(one) && Array.isArray(one.value)),
  );
  return ((lists[0] as unknown[] | undefined) ?? []).flatMap((one) => {
    if (!isRecord(one)) return [];
    return [{ rater: typeof one.user_id === 'string' ? one.user_id : undefined, value: one.value }];
  });
}

function flat(fields: Fields): Said[] {
  const name = Object.keys(fields).find((key) => key.endsWith('.responses') && Array.isArray(fields[key]));
  if (name === undefined) return [];
  const users = Array.isArray(fields[`${name}.users`]) ? (fields[`${name}.users`] as unknown[]) : [];
  return (fields[name] as unknown[]).map((value, i) => ({
    rater: typeof users[i] === 'string' ? users[i] : undefined,
    value,
  }));
}

/** `["response-2", "response-1"]`, or `[{value, rank}]` with ranks that equal answers share. */
function rankingOf(order: unknown, names: readonly string[]): Ranking | undefined {
  if (!Array.isArray(order)) return undefined;
  const places = order.map((one: unknown, i) => {
    const name = isRecord(one) ? one.value : one;
    return { at: names.indexOf(String(name)), rank: isRecord(one) && typeof one.rank === 'number' ? one.rank : i };
  });
  const known = places.filter(({ at }) => at >= 0);
  return new Set(known.map(({ at }) => at)).size < Math.max(2, order.length) ? undefined : { groups: ranked(known) };
}

function ranked(places: readonly { readonly at: number; readonly rank: number }[]): number[][] {
  const ranks = [...new Set(places.map(({ rank }) => rank))].sort((a, b) => a - b);
  return ranks.map((rank) => places.filter((place) => place.rank === rank).map(({ at }) => at));
}

/** A record of Argilla with the rankings of all raters. Users have ids there, which are made of the names. */
export function argillaRecord(item: RankingItem, judged: readonly Judged[]): Fields {
  const name = (at: number) => `response-${at + 1}`;
  const prompt = typeof item.prompt === 'string' ? item.prompt : promptText(item);
  const responses = judged.flatMap(({ rater, opinion: { ranking } }) => {
    if (ranking === undefined) return [];
    const value = ranking.groups.flatMap((group, i) =>
      group.map((at) => ({ value: name(at), rank: 1 + rankBefore(ranking, i) })),
    );
    return [{ value, user_id: userId(rater.name), status: 'submitted' }];
  });
  const answers = Object.fromEntries(item.answers.map(({ text }, at) => [name(at), text]));
  return {
    id: item.id,
    fields: { prompt, ...answers },
    metadata: {},
    suggestions: {},
    responses: { preference: responses },
  };
}

const rankBefore = ({ groups }: Ranking, i: number) => groups.slice(0, i).reduce((n, group) => n + group.length, 0);

function promptText(item: RankingItem): string {
  const parts = promptParts(item);
  return parts.length === 1 ? parts[0]!.text : parts.map(({ role, text }) => `${role}: ${text}`).join('\n\n');
}

function userId(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
