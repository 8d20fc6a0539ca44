/**
 * Broken encodings and characters that do not belong in text.
 *
 * Mojibake is UTF-8 that was read as Windows-1252 (or Windows-1251): it is only called so, and only repaired, where the characters, written
 * back as those bytes, are UTF-8 again.
 */

/** Windows-1252's characters at 0x80 to 0x9f; what is not assigned is taken as the control character itself. */
const CP1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
/** Windows-1251's characters from 0x80. */
const CP1251 =
  'ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u0098™љ›њќћџ\u00a0ЎўЈ¤Ґ¦§Ё©Є«¬\u00ad®Ї°±Ііґµ¶·ё№є»јЅѕї' +
  'АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя';

const LATIN = byteTable((byte) => (byte < 0xa0 ? CP1252[byte - 0x80]! : String.fromCharCode(byte)), true);
const CYRILLIC = byteTable((byte) => CP1251[byte - 0x80]!, false);

function byteTable(character: (byte: number) => string, controls: boolean): ReadonlyMap<string, number> {
  const table = new Map<string, number>();
  for (let byte = 0x80; byte <= 0xff; byte++) {
    // Latin-1 readers leave the control characters, Windows-1252 readers make letters of them.
    if (controls && byte < 0xa0) table.set(String.fromCharCode(byte), byte);
    table.set(character(byte), byte);
  }
  return table;
}

/** A lead byte of UTF-8 as Windows-1252 shows it, and what continues it. */
const LATIN_SUSPECT =
  /(?:[\u00c2-\u00df][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]|[\u00e0-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]{2,3})+/g;
/** Cyrillic text read as Windows-1251: every second character is one of two letters. */
const CYRILLIC_SUSPECT =
  /(?:[РС][\u0400-\u040f\u0450-\u045f\u0490\u0491\u00a0-\u00bf\u2013-\u203a\u20ac\u2116\u2122Р-п]){4,}/g;
/** Beside a longer run shorter ones are words too. */
const CYRILLIC_SHORT =
  /(?:[РС][\u0400-\u040f\u0450-\u045f\u0490\u0491\u00a0-\u00bf\u2013-\u203a\u20ac\u2116\u2122Р-п]){1,}/g;

const strict = new TextDecoder('utf-8', { fatal: true });

/** The text with mojibake undone, also where it was made twice; the same string where there is none. */
export function repairMojibake(text: string): string {
  let repaired = text;
  for (let pass = 0; pass < 3; pass++) {
    const next = repaired
      .replace(LATIN_SUSPECT, (run) => decodeRun(run, LATIN))
      .replace(hasCyrillicRun(repaired) ? CYRILLIC_SHORT : CYRILLIC_SUSPECT, (run) => decodeCyrillic(run));
    if (next === repaired) break;
    repaired = next;
  }
  return repaired;
}

function decodeRun(run: string, table: ReadonlyMap<string, number>): string {
  const bytes = Uint8Array.from(run, (character) => table.get(character) ?? 0);
  if (bytes.includes(0)) return run;
  try {
    return strict.decode(bytes);
  } catch {
    return run;
  }
}

function hasCyrillicRun(text: string): boolean {
  return (text.match(CYRILLIC_SUSPECT) ?? []).some((run) => decodeCyrillic(run) !== run);
}

function decodeCyrillic(run: string): string {
  const decoded = decodeRun(run, CYRILLIC);
  // Real text in capitals may happen to be such bytes; what comes out must be Cyrillic words.
  return /^[\u0400-\u04ff\s.,!?-]+$/.test(decoded) ? decoded : run;
}

/** Where mojibake begins, or -1. */
export function mojibakeAt(text: string): number {
  const repaired = repairMojibake(text);
  if (repaired === text) return -1;
  let at = 0;
  while (text[at] === repaired[at]) at++;
  return at;
}

/** Characters that stand for what could not be decoded, and halves of surrogate pairs. */
export const UNDECODED = /\ufffd|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Control characters but tab, line feed and carriage return; invisible marks that no script needs. */
export const CONTROL = /(?![\t\n\r\u0085])[\p{Cc}\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]/u;
const CONTROLS =
  /(?![\t\n\r])\p{Cc}\[[0-9;]*m|(?![\t\n\r\u0085])[\p{Cc}\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]/gu;

/** The text without control characters and the colours of terminals. */
export function stripControls(text: string): string {
  return text.replace(CONTROLS, '');
}

/** Whether nothing of a text can be seen: white space, and marks without width. */
export function isBlank(text: string): boolean {
  return !/[^\s\p{Cc}\p{Default_Ignorable_Code_Point}\u2800]/u.test(text);
}

/** Anything but printable ASCII and line ends: what has none of it needs no look at its encoding. */
export const UNUSUAL = /[^\t\n\r\u0020-\u007e]/;
