import type { Tokenizer } from '../text/tokenizer.ts';

/** Why an answer ended: the token that ends a turn, a stop string, or no more room. */
export type StopReason = 'eot' | 'string' | 'length';

/** Turns the tokens of one answer into text as it grows. */
export interface TextStream {
  /** Takes the next token; returns the text that is now certain, and whether a stop string ended it. */
  push(id: number): { readonly text: string; readonly stopped: boolean };
  /** The text that was held back, when no more tokens come. */
  finish(): string;
}

/**
 * Streams text: never half a character of UTF-8, and nothing that may yet turn out to belong to a stop string. Special tokens have no text.
 *
 * @param stops strings that end the answer; they are not part of it
 */
export function createTextStream(tokenizer: Pick<Tokenizer, 'decode'>, stops: readonly string[] = []): TextStream {
  const characters = createCharacterStream(tokenizer);
  let held = '';
  let stopped = false;
  const take = (piece: string): string => {
    held += piece;
    const at = earliest(held, stops);
    if (at !== undefined) {
      stopped = true;
      const text = held.slice(0, at);
      held = '';
      return text;
    }
    const certain = held.length - overlap(held, stops);
    const text = held.slice(0, certain);
    held = held.slice(certain);
    return text;
  };
  return {
    push(id) {
      if (stopped) throw new Error('internal: a token after the end of the answer');
      const text = take(characters.push(id));
      return { text, stopped };
    },
    finish() {
      if (stopped) return '';
      const text = take(characters.finish());
      return stopped ? text : text + held;
    },
  };
}

function earliest(text: string, stops: readonly string[]): number | undefined {
  const found = stops.map((stop) => (stop === '' ? -1 : text.indexOf(stop))).filter((at) => at >= 0);
  return found.length === 0 ? undefined : Math.min(...found);
}

/** Length of the longest end of the text that a stop string begins with. */
function overlap(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
      if (text.endsWith(stop.slice(0, n))) longest = n;
    }
  }
  return longest;
}

/** What a decoder puts where bytes are no whole character, yet. */
const UNFINISHED = /\uFFFD+$/;

/**
 * Decodes the last few tokens again at each step and returns what is new. The window always begins at a token whose text is known, since some
 * tokenizers drop a space from the first token that they decode.
 */
function createCharacterStream(tokenizer: Pick<Tokenizer, 'decode'>): {
  push(id: number): string;
  finish(): string;
} {
  let window: number[] = [];
  let known = 0; // tokens of the window whose text is out
  let emitted = 0; // characters of the window's text that are out
  const decode = () => tokenizer.decode(window, { skipSpecialTokens: true });
  return {
    push(id) {
      window.push(id);
      const text = decode();
      const certain = text.replace(UNFINISHED, '');
      const piece = certain.slice(emitted);
      emitted = Math.max(emitted, certain.length);
      if (certain.length === text.length && piece !== '') {
        window = window.slice(known);
        known = window.length;
        emitted = decode().length;
      }
      return piece;
    },
    finish: () => decode().slice(emitted),
  };
}
