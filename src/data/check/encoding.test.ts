import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mojibakeAt, repairMojibake, stripControls } from './encoding.ts';

/** What reading UTF-8 as another encoding makes of a text. */
const misread = (text: string, encoding: string) => new TextDecoder(encoding).decode(new TextEncoder().encode(text));

describe('repairMojibake', () => {
  it.each(['café', 'Grüße aus Köln', '“quoted” – and €5', 'señor Núñez', 'naïve façade…', 'emoji 🙂 here'])(
    'undoes a wrong reading of %s',
    (text) => {
      expect(repairMojibake(misread(text, 'windows-1252'))).toBe(text);
      expect(repairMojibake(misread(misread(text, 'windows-1252'), 'windows-1252'))).toBe(text);
    },
  );

  it('undoes a wrong reading of Cyrillic', () => {
    expect(repairMojibake(misread('Привет мир', 'windows-1251'))).toBe('Привет мир');
  });

  it.each(['café', 'São João', 'ÇA VA, À BIENTÔT', 'Ångström Ø', 'ПРИВЕТ, РОССИЯ', '“It’s” 20 €', 'Ã bon', 'x² ± 3½'])(
    'leaves %s as it is',
    (text) => {
      expect(repairMojibake(text)).toBe(text);
      expect(mojibakeAt(text)).toBe(-1);
    },
  );

  it('leaves nothing to be repaired', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const once = repairMojibake(text);
        expect(mojibakeAt(once) === -1 || once !== text).toBe(true);
        expect(mojibakeAt(text) === -1).toBe(once === text);
      }),
    );
  });
});

describe('stripControls', () => {
  it('takes out control characters, colours and invisible marks, and no white space', () => {
    expect(stripControls('a\u0000b\u001b[31mc\u200b\td\r\ne\ufefff')).toBe('abc\td\r\nef');
  });
});
