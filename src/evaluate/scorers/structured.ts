import { z } from 'zod';

/** The JSON that an answer holds: the answer itself, or its first fenced block; undefined where neither parses. */
export function jsonIn(answer: string): unknown {
  const fenced = /```(?:json)?\s*\n([\s\S]*?)```/i.exec(answer)?.[1];
  for (const text of [answer, fenced]) {
    if (text === undefined) continue;
    try {
      return JSON.parse(text) as unknown;
    } catch {}
  }
  return undefined;
}

/** Whether an answer holds JSON, and such as a JSON Schema demands. */
export function isJson(answer: string, schema?: JsonSchema): boolean {
  const value = jsonIn(answer);
  return value !== undefined && (schema === undefined || z.fromJSONSchema(schema).safeParse(value).success);
}

/** A JSON Schema, draft 2020-12. */
export type JsonSchema = Parameters<typeof z.fromJSONSchema>[0];

/** What is wrong with a schema, or undefined. */
export function schemaFault(schema: JsonSchema): string | undefined {
  try {
    z.fromJSONSchema(schema);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * F1 of slots: each leaf of the answer's JSON is right where the reference has the same value, but for case and white space, at the same path. Order in
 * lists does not count.
 *
 * @param reference as JSON
 * @returns 0 to 1; 0 where the answer is no JSON
 */
export function slotF1(answer: string, reference: string): number {
  const value = jsonIn(answer);
  if (value === undefined) return 0;
  const [given, wanted] = [leaves(value), leaves(JSON.parse(reference))];
  if (given.length === 0 || wanted.length === 0) return given.length === wanted.length ? 1 : 0;
  const left = [...wanted];
  let right = 0;
  for (const leaf of given) {
    const at = left.indexOf(leaf);
    if (at < 0) continue;
    left.splice(at, 1);
    right++;
  }
  return (2 * right) / (given.length + wanted.length);
}

function leaves(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((inner) => leaves(inner, `${path}[]`));
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`));
  }
  return [`${path}=${String(value).normalize('NFC').trim().toLowerCase().replace(/\s+/gu, ' ')}`];
}

/** The label that an answer names: the answer itself, or the one that it mentions first; undefined where it names none. */
export function labelIn(answer: string, labels: readonly string[]): string | undefined {
  const text = plain(answer);
  const exact = labels.find((label) => plain(label) === text);
  if (exact !== undefined) return exact;
  const found = labels.flatMap((label) => {
    const at = wordAt(text, plain(label));
    return at < 0 ? [] : [{ label, at }];
  });
  // Of two at the same place the longer one is meant: "not spam" and "not".
  return found.sort((a, b) => a.at - b.at || b.label.length - a.label.length)[0]?.label;
}

function wordAt(text: string, label: string): number {
  const isLetter = (character: string | undefined) => character !== undefined && /[\p{L}\p{N}]/u.test(character);
  for (let at = text.indexOf(label); at >= 0; at = text.indexOf(label, at + 1)) {
    if (!isLetter(text[at - 1]) && !isLetter(text[at + label.length])) return at;
  }
  return -1;
}

/** A text but for case, white space and a full stop at its end. */
export function plain(text: string): string {
  return text.normalize('NFC').trim().toLowerCase().replace(/\s+/g, ' ').replace(/\.$/, '');
}
