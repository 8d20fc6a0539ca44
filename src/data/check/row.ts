import type { ErrorCode } from '../../errors/index.ts';
import type { Message, Role } from '../../text/messages.ts';
import type { Complain } from '../messages.ts';
import { type NormaliseOptions, normalise } from '../normalise.ts';
import type { Row, RowSource } from '../row.ts';
import { type Fields, kindOf, present, type RowShape, recognise } from '../shapes.ts';
import type { CheckRow, Part } from './types.ts';

/** Columns in which rows name what they are classified as, in order of preference. */
const LABELS = ['label', 'labels', 'category', 'intent', 'class', 'sentiment', 'topic'] as const;

/** What was made of a record. */
export interface ReadRow {
  readonly row: CheckRow;
  /** Undefined where it is none of the shapes that are trained. */
  readonly shape: RowShape | 'preference' | undefined;
  /** The row as training takes it; undefined where it could not be read, and for preference rows. */
  readonly trained: Row | undefined;
}

/** How records become rows. */
export type ReadOptions = Pick<NormaliseOptions, 'format' | 'roles'> & {
  /** The shape whose columns are read where a row has those of several. */
  readonly shape?: RowShape | undefined;
};

/** Makes of a record what the checks look at; what is wrong with its form is reported. */
export function readCheckRow(value: unknown, source: RowSource, options: ReadOptions, complain: Complain): ReadRow {
  const pair = preference(value);
  if (pair !== undefined)
    return { shape: 'preference', trained: undefined, row: preferenceRow(pair, source, complain) };
  const recognised = recognise(value, { shape: options.shape });
  if (recognised.shape === undefined) {
    complain('DATA_SHAPE_UNKNOWN', recognised.message, recognised.fix);
    return { shape: undefined, trained: undefined, row: leavesRow(value, source) };
  }
  const { shape } = recognised;
  const fields = value as Fields;
  const once = new Set<ErrorCode>();
  const trained = normalise({ fields, shape, source }, options, (code, message, fix) => {
    // A row that fails in one way at several places is one finding.
    if (!once.has(code)) complain(code, message, fix);
    once.add(code);
  });
  if (trained === undefined) return { shape, trained, row: leavesRow(value, source) };
  const label = labelOf(fields, shape);
  return { shape, trained, row: rowOf(trained, source, label) };
}

function rowOf(row: Row, source: RowSource, label: string | undefined): CheckRow {
  const base = { source, label, key: `${keyOf(row)}\u0000${label ?? ''}` };
  switch (row.kind) {
    case 'messages':
      return { ...base, ...conversation(row.messages) };
    case 'prompt': {
      const parts: Part[] = [
        { role: 'user', text: row.prompt, where: 'prompt' },
        { role: 'assistant', text: row.completion, where: 'completion' },
      ];
      return { ...base, parts, prompt: row.prompt, answer: row.completion, answers: true };
    }
    case 'text': {
      const parts: Part[] = [{ role: 'text', text: row.text, where: 'text' }];
      // A text that is classified is the question, and its label the answer.
      const isAsked = label !== undefined;
      return { ...base, parts, prompt: isAsked ? row.text : '', answer: isAsked ? '' : row.text, answers: false };
    }
    case 'ids':
      return {
        ...base,
        parts: [],
        prompt: '',
        answer: '',
        answers: false,
        tokens: { ids: row.ids, labels: row.labels },
      };
    default:
      return row satisfies never;
  }
}

/** All that a row says. */
function keyOf(row: Row): string {
  // Plain conversations are most rows, and need no JSON.
  if (row.kind === 'messages' && row.tools === undefined && row.messages.every(isPlain)) {
    return row.messages.map(({ role, content }) => `${role}\u0001${content}`).join('\u0002');
  }
  const { source: _, ...content } = row;
  return JSON.stringify(content);
}

function isPlain(message: Message): boolean {
  for (const name in message) if (name !== 'role' && name !== 'content') return false;
  return true;
}

function conversation(messages: readonly Message[]): Pick<CheckRow, 'parts' | 'prompt' | 'answer' | 'answers'> {
  const parts = messages.flatMap((message, i) => messageParts(message, `message ${i + 1} (${message.role})`));
  const last = messages.findLastIndex((m) => m.role === 'assistant');
  const asked = messages.slice(0, last < 0 ? messages.length : last).filter((m) => m.role !== 'system');
  const answer = last < 0 ? '' : messages[last]!.content;
  return { parts, prompt: asked.map(turnText).join('\n'), answer, answers: last >= 0 };
}

function turnText({ content, tool_calls }: Message): string {
  return tool_calls === undefined ? content : `${content} ${JSON.stringify(tool_calls)}`;
}

function messageParts({ role, content, reasoning_content, tool_calls }: Message, where: string): Part[] {
  const parts: Part[] = [{ role, text: content, where }];
  if (reasoning_content !== undefined) parts.push({ role, text: reasoning_content, where: `${where}, its reasoning` });
  if (tool_calls !== undefined)
    parts.push({ role: 'tool', text: JSON.stringify(tool_calls), where: `${where}, its calls` });
  return parts;
}

/** The texts of a row that is not understood: what must not be in any row is looked for there too. */
function leavesRow(value: unknown, source: RowSource): CheckRow {
  const parts: Part[] = [];
  collect(value, '', parts, 0);
  return { source, parts, prompt: '', answer: '', answers: false, label: undefined, key: JSON.stringify(value) ?? '' };
}

const MAX_DEPTH = 40;

function collect(value: unknown, where: string, parts: Part[], depth: number): void {
  if (typeof value === 'string') {
    if (value !== '') parts.push({ role: 'other', text: value, where: where === '' ? 'the row' : where });
  } else if (typeof value === 'object' && value !== null && depth < MAX_DEPTH) {
    for (const [key, item] of Object.entries(value)) collect(item, where === '' ? key : where, parts, depth + 1);
  }
}

function labelOf(fields: Fields, shape: RowShape): string | undefined {
  if (shape !== 'text' && shape !== 'messages') return undefined;
  for (const name of LABELS) {
    if (!present(fields, name)) continue;
    const value = fields[name];
    const one = Array.isArray(value) && value.length === 1 ? (value[0] as unknown) : value;
    if (typeof one === 'string' && one.trim() !== '') return one;
    if (typeof one === 'number' || typeof one === 'boolean') return String(one);
  }
  return undefined;
}

/** What preference and unpaired rows say, whatever their spelling. */
interface Preference {
  readonly asked: readonly { readonly role: string; readonly text: string }[];
  readonly answers: readonly { readonly name: string; readonly text: string }[];
  readonly mark: string;
}

function preference(value: unknown): Preference | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const fields = value as Fields;
  const good = ['chosen', 'preferred_output'].find((name) => present(fields, name));
  const bad = ['rejected', 'non_preferred_output'].find((name) => present(fields, name));
  const asked = turnsIn(fields.conversations ?? fields.messages ?? fields.prompt ?? fields.instruction ?? fields.input);
  if (good !== undefined && bad !== undefined) {
    const answers = [good, bad].map((name) => ({ name, text: textIn(fields[name]) }));
    return { asked, answers, mark: '' };
  }
  const mark = typeof fields.kto_tag === 'boolean' ? fields.kto_tag : fields.label;
  if (typeof mark !== 'boolean' || present(fields, 'text')) return undefined;
  const last = asked.at(-1);
  const own = fields.completion ?? fields.response;
  if (own !== undefined) return { asked, answers: [{ name: 'completion', text: textIn(own) }], mark: String(mark) };
  if (last === undefined) return undefined;
  return { asked: asked.slice(0, -1), answers: [{ name: 'the last message', text: last.text }], mark: String(mark) };
}

function turnsIn(value: unknown): { role: string; text: string }[] {
  const list = (value as Fields | undefined)?.messages ?? value;
  if (typeof list === 'string') return [{ role: 'user', text: list }];
  if (!Array.isArray(list)) return [];
  return list.map((item: unknown) => {
    const turn = (typeof item === 'object' && item !== null ? item : {}) as Fields;
    return { role: String(turn.role ?? turn.from ?? 'user'), text: textIn(item) };
  });
}

function textIn(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textIn).join('\n');
  if (typeof value !== 'object' || value === null) return '';
  const fields = value as Fields;
  const content = fields.content ?? fields.value;
  if (content !== undefined && content !== null) return textIn(content);
  return fields.tool_calls === undefined ? '' : JSON.stringify(fields.tool_calls);
}

function preferenceRow({ asked, answers, mark }: Preference, source: RowSource, complain: Complain): CheckRow {
  const roleOf = (name: string): Role =>
    name === 'system' || name === 'tool' ? name : /^(assistant|gpt|bot|model)$/.test(name) ? 'assistant' : 'user';
  const parts: Part[] = [
    ...asked.map(({ role, text }, i) => ({ role: roleOf(role), text, where: `message ${i + 1} (${role})` })),
    ...answers.map(({ name, text }) => ({ role: 'assistant' as const, text, where: name })),
  ];
  for (const { name, text } of answers) {
    if (text.trim() === '') complain('DATA_EMPTY_ANSWER', `${name} is empty.`, 'write the answer, or remove the row.');
  }
  if (answers.length === 2 && answers[0]!.text === answers[1]!.text && answers[0]!.text !== '') {
    complain('DATA_ECHO', 'prefers an answer to itself: chosen and rejected are the same.');
  }
  if (asked.length === 0) complain('DATA_NO_QUESTION', `asks nothing: its prompt is ${kindOf(undefined)}.`);
  const prompt = asked.filter((turn) => turn.role !== 'system').map((turn) => turn.text);
  const answer = answers[0]!.text;
  const key = JSON.stringify([asked, answers, mark]);
  return { source, parts, prompt: prompt.join('\n'), answer, answers: true, label: undefined, key };
}
