/** What Ollama gives a template. */
interface Turn {
  readonly role: string;
  readonly content: string;
}

type Item = { readonly kind: 'text' | 'action'; readonly text: string };

/**
 * Runs the part of Go's text/template that our Modelfiles use: `range $i, $_ := .Messages`, `if`, `else if`, `else`, `end`, `.Content`, quoted texts.
 * Throws on anything else, and on blocks that do not close.
 */
export function runGoTemplate(source: string, messages: readonly Turn[]): string {
  const items = itemsOf(source);
  let at = 0;
  const expectEnd = (item: Item | undefined) => {
    if (item?.kind !== 'action' || !/^(end|else\b)/.test(item.text)) throw new Error('a block does not close');
    return item.text;
  };
  /** Runs up to the `end` or `else` of the block at hand; leaves `at` on it. `live` is false where nothing is to be written. */
  const block = (i: number, live: boolean): string => {
    let out = '';
    for (; at < items.length; at++) {
      const { kind, text } = items[at]!;
      if (kind === 'text') out += live ? text : '';
      else if (/^(end|else\b)/.test(text)) return out;
      else if (text.startsWith('range ')) out += range(text, live);
      else if (text.startsWith('if ')) out += choice(text.slice(3), i, live);
      else if (/^\$last := /.test(text)) continue;
      else out += live ? value(text, i) : '';
    }
    return out;
  };
  const range = (text: string, live: boolean): string => {
    if (text !== 'range $i, $_ := .Messages') throw new Error(`unknown: ${text}`);
    const first = ++at;
    let out = '';
    for (const i of messages.length === 0 ? [] : messages.keys()) {
      at = first;
      out += block(i, live);
    }
    if (expectEnd(items[at]) !== 'end') throw new Error('range with else');
    return out;
  };
  const choice = (condition: string, i: number, live: boolean): string => {
    let done = false;
    let out = '';
    for (let now: string | undefined = condition; now !== undefined; ) {
      const holds: boolean = !done && (now === '' || test(now, i));
      done ||= holds;
      at++;
      out += block(i, live && holds);
      const end = expectEnd(items[at]);
      now = end === 'end' ? undefined : end.replace(/^else( if)? ?/, '');
    }
    return out;
  };
  const test = (condition: string, i: number): boolean => {
    const role = /^eq \.Role "(\w+)"$/.exec(condition)?.[1];
    if (role !== undefined) return messages[i]?.role === role;
    if (condition === 'eq $i 0') return i === 0;
    if (condition === '$last') return i === messages.length - 1;
    if (condition === 'not $last') return i !== messages.length - 1;
    throw new Error(`unknown: ${condition}`);
  };
  const value = (text: string, i: number): string => {
    if (text === '.Content') return messages[i]?.content ?? '';
    if (/^".*"$/.test(text)) return JSON.parse(text) as string;
    throw new Error(`unknown: ${text}`);
  };
  const out = block(-1, true);
  if (at < items.length) throw new Error(`${items[at]?.text} without a block`);
  return out;
}

function itemsOf(source: string): Item[] {
  return source.split(/(\{\{.*?\}\})/s).flatMap((text): Item[] => {
    if (text === '') return [];
    return text.startsWith('{{') ? [{ kind: 'action', text: text.slice(2, -2).trim() }] : [{ kind: 'text', text }];
  });
}

/** A line of a Modelfile. */
export interface Instruction {
  readonly name: string;
  readonly value: string;
}

/** Parses a Modelfile by its grammar: instruction and value, which stands on one line or between three quotes. Throws on anything else. */
export function parseModelfile(text: string): Instruction[] {
  const instructions: Instruction[] = [];
  const line = /(FROM|TEMPLATE|SYSTEM|LICENSE|PARAMETER|ADAPTER|MESSAGE) (?:"""([\s\S]*?)"""|([^\n]+))\n/y;
  while (line.lastIndex < text.length) {
    const at = line.lastIndex;
    const match = line.exec(text);
    if (match === null) throw new Error(`no instruction at ${JSON.stringify(text.slice(at, at + 40))}`);
    instructions.push({ name: match[1] ?? '', value: match[2] ?? match[3] ?? '' });
  }
  return instructions;
}
