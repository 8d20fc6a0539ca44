import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTextStream } from './stop.ts';

/** A tokenizer whose tokens are bytes. */
const BYTES = {
  decode: (ids: readonly number[]) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(ids)),
};
/** A tokenizer whose tokens are words, and which drops the first space that it decodes, as SentencePiece does. */
const WORDS = ['▁Hello', '▁world', ',', '▁again', 'st', 'op'];
const SPACED = {
  decode: (ids: readonly number[]) =>
    ids
      .map((i) => WORDS[i]!)
      .join('')
      .replaceAll('▁', ' ')
      .replace(/^ /, ''),
};

function stream(tokenizer: typeof BYTES, ids: readonly number[], stops: string[] = []) {
  const text = createTextStream(tokenizer, stops);
  const pieces: string[] = [];
  for (const id of ids) {
    const step = text.push(id);
    pieces.push(step.text);
    if (step.stopped) return { pieces, text: pieces.join(''), stopped: true };
  }
  pieces.push(text.finish());
  return { pieces, text: pieces.join(''), stopped: false };
}
const bytes = (text: string) => [...new TextEncoder().encode(text)];

describe('createTextStream', () => {
  it('emits whole characters only, and all of them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const clean = text.replaceAll('\uFFFD', '');
        const { pieces, text: whole } = stream(BYTES, bytes(clean));
        expect(whole).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes(clean))));
        for (const piece of pieces.slice(0, -1)) expect(piece).not.toContain('\uFFFD');
      }),
    );
  });

  it('gives the text of any bytes, broken ones too', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        expect(stream(BYTES, [...data]).text).toBe(BYTES.decode([...data]));
      }),
    );
  });

  it('keeps the spaces of a tokenizer that drops the first one', () => {
    expect(stream(SPACED, [0, 2, 1, 3]).pieces).toEqual(['Hello', ',', ' world', ' again', '']);
  });

  it('ends at a stop string across tokens, and never shows part of it', () => {
    const { pieces, stopped } = stream(SPACED, [0, 4, 5, 1], ['stop']);
    expect(stopped).toBe(true);
    expect(pieces).toEqual(['Hello', '', '']);
  });

  it('lets text go that only looked like a stop string', () => {
    expect(stream(SPACED, [0, 4, 1], ['stop'])).toMatchObject({ text: 'Hellost world', stopped: false });
    expect(stream(SPACED, [0, 4], ['stop'])).toMatchObject({ text: 'Hellost', stopped: false });
  });

  it('cuts exactly before the first stop string, wherever tokens end', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), maxLength: 30 });
    const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(letters, fc.array(stop, { maxLength: 3 }), (text, stops) => {
        const at = stops.map((s) => text.indexOf(s)).filter((i) => i >= 0);
        const { text: out, stopped } = stream(BYTES, bytes(text), stops);
        expect(stopped).toBe(at.length > 0);
        // Of stop strings that begin at different places, the one that is complete first ends the answer.
        if (at.length === 0) expect(out).toBe(text);
        else expect(stops.some((s) => text.startsWith(s, out.length) && text.startsWith(out))).toBe(true);
      }),
    );
  });
});
