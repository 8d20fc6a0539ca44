/** Whether a value is an object that is not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name from a file, for a message: in quotes, control characters escaped, at most some 80 characters. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 79)}…` : name);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The index after the string that starts at `start`, or the text's length if it does not end. */
function skipString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === BACKSLASH) i++;
    else if (c === QUOTE) return i + 1;
  }
  return text.length;
}

/** How deep JSON text nests, without parsing it. The text need not be valid. */
export function jsonDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = skipString(text, i) - 1;
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return deepest;
}

/** A key that stands twice in one object of valid JSON text, which `JSON.parse` would pass over; undefined if none does. */
export function duplicateKey(text: string): string | undefined {
  const objects: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      const end = skipString(text, i);
      const keys = objects.at(-1);
      if (isKey && keys !== undefined) {
        const key: unknown = JSON.parse(text.slice(i, end));
        if (typeof key !== 'string' || keys.has(key)) return String(key);
        keys.add(key);
        isKey = false;
      }
      i = end - 1;
    } else if (c === 0x7b) {
      objects.push(new Set());
      isKey = true;
    } else if (c === 0x5b) {
      objects.push(undefined);
      isKey = false;
    } else if (c === 0x7d || c === 0x5d) {
      objects.pop();
      isKey = false;
    } else if (c === 0x2c) isKey = objects.at(-1) !== undefined;
  }
  return undefined;
}
