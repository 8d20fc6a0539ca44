import { type Example, IGNORE, type Tokenizer } from '../text/index.ts';

/**
 * A text in windows that a model can see, each token predicted once: from the token that begins a text on, and the last window with as much before it as
 * fits, as lm-evaluation-harness's `loglikelihood_rolling`.
 *
 * @param length most tokens of a window, its first one not counted
 */
export function rollingWindows(text: string, tokenizer: Tokenizer, length: number): Example[] {
  const first = tokenizer.bosId ?? tokenizer.eosId;
  const tokens = [...(first === undefined ? [] : [first]), ...tokenizer.encode(text)];
  const windows: Example[] = [];
  for (let done = 1; done < tokens.length; ) {
    const end = Math.min(tokens.length, done + length);
    const begin = Math.max(0, end - 1 - length);
    const ids = Int32Array.from(tokens.slice(begin, end));
    windows.push({ ids, labels: ids.map((id, i) => (begin + i < done ? IGNORE : id)) });
    done = end;
  }
  return windows;
}
