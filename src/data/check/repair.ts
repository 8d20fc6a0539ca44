import type { ErrorCode } from '../../errors/index.ts';
import { repairMojibake, stripControls, UNUSUAL } from './encoding.ts';
import { findPersonal, type PersonalKind } from './personal.ts';

/** What is done with personal data. */
export type PersonalMode = 'redact' | 'pseudonymise';

/** Values of personal data by the name that stands for them. */
export type Pseudonyms = Map<string, string>;

/** Why something was changed. */
export interface Change {
  readonly code: ErrorCode;
  readonly why: string;
}

/** How a record is mended. */
export interface RepairOptions {
  readonly personal?: PersonalMode | undefined;
  /** Grows as new values are met; the same value gets the same name. */
  readonly pseudonyms?: Pseudonyms | undefined;
  /** Leaves everything but personal data as it is. */
  readonly only?: 'personal' | undefined;
}

/** Names of roles that mean one of ours beyond doubt. */
const ROLES: Readonly<Record<string, string>> = {
  bot: 'assistant',
  ai: 'assistant',
  model: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  human: 'user',
};

const LISTS = ['messages', 'conversations', 'prompt', 'completion', 'chosen', 'rejected'];
/** Names that ShareGPT has for roles. */
const SHAREGPT = new Set(['human', 'gpt', 'system', 'function_call', 'observation', 'tool', 'user', 'assistant']);

/** The record mended, or itself where nothing had to be, and what was done to it. Changes nothing in place. */
export function repairRecord(
  value: unknown,
  options: RepairOptions,
): { readonly value: unknown; readonly changes: readonly Change[] } {
  const changes = new Map<string, Change>();
  const note = (change: Change) => changes.set(`${change.code} ${change.why}`, change);
  const cleaned = mapTexts(value, (text) => repairText(text, options, note));
  const mended = options.only === 'personal' ? cleaned : repairRoles(cleaned, note);
  return changes.size === 0 ? { value, changes: [] } : { value: mended, changes: [...changes.values()] };
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, map)]));
}

function repairText(text: string, options: RepairOptions, note: (change: Change) => void): string {
  let result = text;
  if (options.only === undefined && UNUSUAL.test(result)) {
    const decoded = repairMojibake(result);
    if (decoded !== result) note({ code: 'DATA_MOJIBAKE', why: 'decoded text anew that was decoded wrongly' });
    result = stripControls(decoded);
    if (result !== decoded) note({ code: 'DATA_CONTROL', why: 'took out control characters and invisible marks' });
  }
  return options.personal === undefined ? result : withoutPersonal(result, options, note);
}

const CODES: Readonly<Record<PersonalKind, ErrorCode>> = {
  email: 'DATA_PII_EMAIL',
  phone: 'DATA_PII_PHONE',
  card: 'DATA_PII_CARD',
  iban: 'DATA_PII_IBAN',
  id: 'DATA_PII_ID',
  ip: 'DATA_PII_IP',
};

function withoutPersonal(
  text: string,
  { personal, pseudonyms }: RepairOptions,
  note: (change: Change) => void,
): string {
  let result = '';
  let at = 0;
  for (const { kind, start, end, name } of findPersonal(text)) {
    const label = kind.toUpperCase();
    const done = personal === 'redact' ? 'redacted' : 'put a pseudonym for';
    note({ code: CODES[kind], why: `${done} ${name}` });
    const stand =
      personal === 'redact' || pseudonyms === undefined
        ? `[${label}]`
        : pseudonym(text.slice(start, end), label, pseudonyms);
    result += text.slice(at, start) + stand;
    at = end;
  }
  return result + text.slice(at);
}

function pseudonym(value: string, label: string, pseudonyms: Pseudonyms): string {
  let count = 0;
  for (const [name, known] of pseudonyms) {
    if (!name.startsWith(`[${label}_`)) continue;
    if (known === value) return name;
    count++;
  }
  const name = `[${label}_${count + 1}]`;
  pseudonyms.set(name, value);
  return name;
}

/** The record with values in the places of their pseudonyms. */
export function restorePersonal(value: unknown, pseudonyms: Pseudonyms): unknown {
  return mapTexts(value, (text) =>
    text.replace(/\[(?:EMAIL|PHONE|CARD|IBAN|ID|IP)_\d+\]/g, (name) => pseudonyms.get(name) ?? name),
  );
}

function repairRoles(value: unknown, note: (change: Change) => void): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([key, item]) => {
    if (!LISTS.includes(key) || !Array.isArray(item)) return [key, item];
    return [key, item.map((message: unknown) => repairRole(message, note))];
  });
  return Object.fromEntries(entries);
}

function repairRole(message: unknown, note: (change: Change) => void): unknown {
  if (typeof message !== 'object' || message === null) return message;
  const fields = message as Readonly<Record<string, unknown>>;
  const key = 'role' in fields ? 'role' : 'from';
  const given = fields[key];
  if (typeof given !== 'string') return message;
  const plain = given.trim().toLowerCase();
  const isShareGpt = key === 'from' && SHAREGPT.has(plain);
  const meant = isShareGpt ? plain : (ROLES[plain] ?? plain);
  if (meant === given || !['user', 'assistant', 'system', 'tool', 'developer', 'function', ...SHAREGPT].includes(meant))
    return message;
  note({ code: 'DATA_ROLE_UNKNOWN', why: `wrote the role ${meant} for "${given}"` });
  return { ...fields, [key]: meant };
}
