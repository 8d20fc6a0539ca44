/** Kinds of personal data that are recognised. */
export const PERSONAL = ['email', 'phone', 'card', 'iban', 'id', 'ip'] as const;
export type PersonalKind = (typeof PERSONAL)[number];

/** A passage that is personal data. */
export interface PersonalSpan {
  readonly kind: PersonalKind;
  /** UTF-16 units, the end excluded. */
  readonly start: number;
  readonly end: number;
  /** What it is, in words. */
  readonly name: string;
}

const EMAIL =
  /(?<![\w.+%-])[\p{L}\p{N}_][\p{L}\p{N}_.+%'-]{0,63}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+\p{L}{2,24}(?![\p{L}\p{N}@])/gu;

/** Digits with single separators, as cards are printed. */
const CARD = /(?<![\d.,:/$€£#]|\d-)(?:\d[ -]?){11,18}\d(?![\d]|[.,]\d)/g;
const IBAN = /(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{2,4}){2,8}(?![A-Za-z0-9])/g;
const IPV4 = /(?<![\w.-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\d)/g;
const IPV6 =
  /(?<![\w:.])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4})(?::[0-9a-f]{1,4})*(?![\w:])|(?<![\w:.])(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}:){0,5}[0-9a-f]{1,4}(?![\w:])/gi;

/** Digits that may be a telephone number: groups with separators, perhaps a country, an area in brackets, an extension. */
const PHONE =
  /(?<![\w.,:/$€£#=@+*^-]|\d ?[+*/=x<>] ?)(?:(?<!\d\s)\+|\(\+?|00(?=[1-9]))?\d(?:[ .\-/]?\(?\d\)?){5,15}(?:\)?)(?:[ ,]{0,2}(?:x|ext\.?|extension) ?\d{1,6})?(?![\w@%]|[.,:]\d|[-/]\d| ?[=*+^] ?\d)/gi;
/** Words that say that a number is one to be called. */
const CALLED =
  /\b(?:phone|telephone|tel|tele|mobile|cell|cellphone|fax|call|calls|called|calling|dial|ring|reach|text|txt|sms|whatsapp|contact|answering|hotline|landline|handy|telefon|téléphone|teléfono|móvil|telefono|rufnummer|number is|numbers? (?:to|in|on|at)|my number|phone ?no)\b/i;
const NOT_CALLED =
  /\b(?:isbn|issn|order|invoice|account|acct|routing|serial|tracking|zip|postal|code|ticket|reference|ref|case|id|part|model|policy|license|licence|version|doi|pmid|omim|dates?|years?|from)\b[^.!?]{0,18}$/i;

/** The personal data in a text, in order; where two kinds match the same digits, the one with a check sum wins. */
export function findPersonal(text: string): PersonalSpan[] {
  const spans: PersonalSpan[] = [];
  const add = (kind: PersonalKind, name: string, start: number, end: number) => {
    if (!spans.some((span) => start < span.end && end > span.start)) spans.push({ kind, name, start, end });
  };
  if (text.includes('@')) {
    for (const match of text.matchAll(EMAIL))
      add('email', 'an e-mail address', match.index, match.index + match[0].length);
  }
  if (!/\d/.test(text) && !text.includes('::')) return spans;
  numbered(text, add);
  return spans.sort((a, b) => a.start - b.start);
}

type Add = (kind: PersonalKind, name: string, start: number, end: number) => void;

function numbered(text: string, add: Add): void {
  for (const { 0: found, index } of text.matchAll(IBAN)) {
    const length = ibanLength(found);
    if (length > 0) add('iban', 'an IBAN', index, index + length);
  }
  for (const { 0: found, index } of text.matchAll(CARD)) {
    const near = text.slice(Math.max(0, index - 80), index + found.length + 80);
    if (isCard(found, near)) add('card', 'a card number', index, index + found.length);
  }
  for (const { 0: found, index } of text.matchAll(IPV4)) {
    if (isAddress(found, text.slice(Math.max(0, index - 16), index)))
      add('ip', 'an IP address', index, index + found.length);
  }
  if (text.includes(':')) {
    for (const { 0: found, index } of text.matchAll(IPV6)) {
      if (isIpv6(found)) add('ip', 'an IP address', index, index + found.length);
    }
  }
  for (const id of NATIONAL) {
    for (const { 0: found, index } of text.matchAll(id.pattern)) {
      if (id.isValid(found) && (id.near === undefined || id.near.test(text.slice(Math.max(0, index - 60), index)))) {
        add('id', id.name, index, index + found.length);
      }
    }
  }
  phones(text, add);
}

function phones(text: string, add: Add): void {
  for (const { 0: found, index } of text.matchAll(PHONE)) {
    const before = text.slice(Math.max(0, index - 60), index);
    const after = text.slice(index + found.length, index + found.length + 40);
    if (isPhone(found, before, after)) add('phone', 'a telephone number', index, index + found.trimEnd().length);
  }
}

/** Ways in which numbers are grouped that stand for nothing but telephone numbers. */
const GROUPED = [
  /^\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}$/,
  /^1[ .-]\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}$/,
  /^0\d([ .-])\d\d(?:\1\d\d){3}$/,
  /^0\d{2,4}[ /-]\d{3,4} ?\d{2,4}(?: \d\d)?$/,
  /^0\d{2,3}(?: \d{2,4}){2,3}$/,
  /^\(0?\d{1,4}\) ?\d{3,4}[ -]\d{3,4}$/,
];

/** Groups of digits that are a date, a year or a span of years, a decimal number or thousands. */
const NO_PHONE = [
  /^\d{4}([-/. ])\d{1,2}\1\d{1,4}$/,
  /^\d{1,2}([-/. ])\d{1,2}\1\d{2,4}$/,
  /^(?:1[5-9]|20)\d\d ?[-/ ] ?(?:1[5-9]|20)\d\d$/,
  /^\d+\.\d+$/,
  /^\d{1,3}(?:[ .]\d{3})+$/,
  /^(?:1[5-9]|20)\d\d(?: (?:1[5-9]|20)\d\d)+$/,
  /(?:^|[ -])\d[ -]\d{5,}[ -]\d$/,
];

function isPhone(found: string, before: string, after: string): boolean {
  const body = found.replace(/[ ,]{0,2}(?:x|ext\.?|extension) ?\d{1,6}$/i, '').trim();
  const extended = body.length < found.trim().length;
  const digits = body.replace(/\D/g, '');
  if (digits.length < 7 || digits.length > 15 || /^(\d)\1*$/.test(digits)) return false;
  if ((body.match(/\(/g) ?? []).length !== (body.match(/\)/g) ?? []).length) return false;
  if (/^(?:\+|\(\+|00[1-9])/.test(body))
    return digits.length >= 8 && !/^00\d+$/.test(body) ? true : CALLED.test(before);
  if (extended && digits.length >= 9) return true;
  const called =
    CALLED.test(before) || /^[\s,;.)\\-]{0,3}(?:\(?(?:cell|mobile|home|work|office|fax|phone)\b)/i.test(after);
  if (GROUPED.some((pattern) => pattern.test(body)) && !NOT_CALLED.test(before)) return true;
  if (/^0\d{9,10}$/.test(body)) return called || !NOT_CALLED.test(before);
  if (!called || NOT_CALLED.test(before) || digits.length > 12) return false;
  if (NO_PHONE.slice(0, 4).some((pattern) => pattern.test(body)) || NO_PHONE.slice(5).some((p) => p.test(body)))
    return false;
  return digits.length >= 7;
}

/** Prefixes of the card networks with the lengths of their numbers. */
const NETWORKS: readonly (readonly [RegExp, readonly number[]])[] = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^3(?:0[0-5]|6|8|9)/, [14, 16]],
  [/^(?:6011|64[4-9]|65|622)/, [16, 17, 18, 19]],
  [/^35/, [16]],
  [/^(?:2131|1800)/, [15]],
  [/^(?:5018|502|503|506|56|57|58|6(?:304|759|76|390|7))/, [12, 13, 14, 15, 16, 17, 18, 19]],
];

/** @param near the text around it: short numbers say too little alone */
function isCard(found: string, near: string): boolean {
  const digits = found.replace(/\D/g, '');
  if (digits.length < 14 && !/\b(?:cards?|visa|maestro|mastercard|credit|debit)\b/i.test(near)) return false;
  if (!NETWORKS.some(([prefix, lengths]) => prefix.test(digits) && lengths.includes(digits.length))) return false;
  // One separator throughout, and groups as they are printed: no row of small numbers.
  const groups = found.split(/[ -]/);
  if (groups.length > 1 && (groups.length > 5 || groups.some((g) => g.length < 3 || g.length > 6))) return false;
  return luhn(digits) && !/^(\d)\1*$/.test(digits);
}

/** The check of card numbers: every second digit from the right is doubled. */
export function luhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    sum += i % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2;
  }
  return sum % 10 === 0;
}

const IBAN_LENGTHS: Readonly<Record<string, number>> = {
  ...{
    AD: 24,
    AE: 23,
    AL: 28,
    AT: 20,
    AZ: 28,
    BA: 20,
    BE: 16,
    BG: 22,
    BH: 22,
    BR: 29,
    BY: 28,
    CH: 21,
    CR: 22,
    CY: 28,
    CZ: 24,
  },
  ...{
    DE: 22,
    DK: 18,
    DO: 28,
    EE: 20,
    EG: 29,
    ES: 24,
    FI: 18,
    FO: 18,
    FR: 27,
    GB: 22,
    GE: 22,
    GI: 23,
    GL: 18,
    GR: 27,
    GT: 28,
  },
  ...{
    HR: 21,
    HU: 28,
    IE: 22,
    IL: 23,
    IQ: 23,
    IS: 26,
    IT: 27,
    JO: 30,
    KW: 30,
    KZ: 20,
    LB: 28,
    LC: 32,
    LI: 21,
    LT: 20,
    LU: 20,
  },
  ...{
    LV: 21,
    LY: 25,
    MC: 27,
    MD: 24,
    ME: 22,
    MK: 19,
    MR: 27,
    MT: 31,
    MU: 30,
    NL: 18,
    NO: 15,
    PK: 24,
    PL: 28,
    PS: 29,
    PT: 25,
  },
  ...{
    QA: 29,
    RO: 24,
    RS: 22,
    SA: 24,
    SC: 31,
    SE: 24,
    SI: 19,
    SK: 24,
    SM: 27,
    ST: 25,
    SV: 28,
    TL: 23,
    TN: 24,
    TR: 26,
    UA: 29,
  },
  ...{ VA: 22, VG: 24, XK: 20 },
};

/** Characters of the IBAN at the start of a candidate, which may have run into the next word; 0 if it is none. */
function ibanLength(found: string): number {
  const wanted = IBAN_LENGTHS[found.slice(0, 2).toUpperCase()];
  if (wanted === undefined) return 0;
  let taken = 0;
  let end = 0;
  while (end < found.length && taken < wanted) if (/[A-Za-z0-9]/.test(found[end++]!)) taken++;
  if (taken < wanted || /[A-Za-z0-9]/.test(found[end] ?? ' ')) return 0;
  const plain = found.slice(0, end).replace(/[ -]/g, '').toUpperCase();
  let rest = 0;
  for (const character of plain.slice(4) + plain.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1 ? end : 0;
}

function isAddress(found: string, before: string): boolean {
  if (/^(?:127\.|0\.|255\.255\.)/.test(found)) return false;
  return !/(?:\bversion|\bver\.?|\bv|\brelease|\bsection|\bchapter|§|\bbuild|\boid)[ :]*$/i.test(before);
}

function isIpv6(found: string): boolean {
  const halves = found.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => half.split(':').filter((group) => group !== ''));
  if (halves.length === 1) return groups.length === 8;
  return groups.length >= 3 && groups.length < 8 && /\d/.test(found) && groups.some((group) => group.length > 2);
}

interface NationalId {
  readonly name: string;
  readonly pattern: RegExp;
  /** What must stand shortly before it, where the digits alone say too little. */
  readonly near?: RegExp;
  isValid(found: string): boolean;
}

const digitsOf = (text: string) => Array.from(text.replace(/\D/g, ''), Number);
const weighted = (digits: readonly number[], weights: readonly number[]) =>
  weights.reduce((sum, weight, i) => sum + weight * (digits[i] ?? 0), 0);

/** Identity numbers of people, each with its check sum or the form that only it has. */
const NATIONAL: readonly NationalId[] = [
  {
    name: 'a US social security number',
    pattern: /(?<![\w-])(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])/g,
    isValid: (found) => !/^(?:19|20)\d /.test(found),
  },
  {
    name: 'a British National Insurance number',
    pattern: /(?<!\w)(?![DFIQUV])[A-CEGHJ-PR-TW-Z](?![DFIQUVO])[A-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)/g,
    isValid: () => true,
  },
  {
    name: 'a Spanish DNI or NIE',
    pattern: /(?<![\w-])[XYZ]?-?\d{7,8}-?[A-Z](?![\w-])/g,
    isValid: (found) => {
      const plain = found.replaceAll('-', '').replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter)));
      return plain.length === 9 && 'TRWAGMYFPDXBNJZSQVHLCKE'[Number(plain.slice(0, 8)) % 23] === plain[8];
    },
  },
  {
    name: 'a French social security number',
    pattern: /(?<!\d)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?!\d)/g,
    isValid: (found) => {
      const plain = found.replaceAll(' ', '').replace('2A', '19').replace('2B', '18');
      return 97n - (BigInt(plain.slice(0, 13)) % 97n) === BigInt(plain.slice(13));
    },
  },
  {
    name: 'an Italian codice fiscale',
    pattern: /(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)/g,
    isValid: () => true,
  },
  {
    name: 'a Brazilian CPF',
    pattern: /(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)/g,
    isValid: (found) => {
      const d = digitsOf(found);
      const check = (n: number) =>
        ((weighted(
          d,
          Array.from({ length: n }, (_, i) => n + 1 - i),
        ) *
          10) %
          11) %
        10;
      return check(9) === d[9] && check(10) === d[10];
    },
  },
  {
    name: 'a Polish PESEL',
    pattern: /(?<!\d)\d{11}(?!\d)/g,
    near: /pesel/i,
    isValid: (found) =>
      (10 - (weighted(digitsOf(found), [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)) % 10 === digitsOf(found)[10],
  },
  {
    name: 'a Dutch BSN',
    pattern: /(?<!\d)\d{9}(?!\d)/g,
    near: /\bbsn\b|burgerservice/i,
    isValid: (found) => weighted(digitsOf(found), [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0,
  },
  {
    name: 'a German tax number',
    pattern: /(?<!\d)[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?!\d)/g,
    near: /steuer|\btin\b|\bidnr|tax id/i,
    isValid: (found) => {
      let product = 10;
      const d = digitsOf(found);
      for (const digit of d.slice(0, 10)) product = (((digit + product) % 10 || 10) * 2) % 11;
      return (11 - product) % 10 === d[10];
    },
  },
  {
    name: 'an Indian Aadhaar number',
    pattern: /(?<!\d)[2-9]\d{3} ?\d{4} ?\d{4}(?!\d)/g,
    near: /aadhaar|aadhar|uidai/i,
    isValid: () => true,
  },
  {
    name: 'a Swedish personal number',
    pattern: /(?<!\d)(?:19|20)?\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]\d{4}(?!\d)/g,
    isValid: (found) => luhn(found.replace(/\D/g, '').slice(-10)),
  },
  {
    name: 'a Canadian social insurance number',
    pattern: /(?<!\d)\d{3}[ -]\d{3}[ -]\d{3}(?!\d)/g,
    near: /\bsin\b|social insurance/i,
    isValid: (found) => luhn(found.replace(/\D/g, '')),
  },
  {
    name: 'a passport number',
    pattern: /(?<!\w)(?:[A-Z]{1,2}\d{6,8}|\d{9})(?!\w)/g,
    near: /passport[^.!?]{0,30}$/i,
    isValid: () => true,
  },
  {
    name: 'a social security number',
    pattern: /(?<!\d)(?!000|666|9)\d{9}(?!\d)/g,
    near: /\bssn\b|social security[^.!?]{0,30}$/i,
    isValid: () => true,
  },
];

/** The passage with all but its ends masked. */
export function masked(passage: string): string {
  const keep = passage.length > 8 ? 2 : 1;
  return passage.slice(0, keep) + passage.slice(keep, -keep).replace(/[\p{L}\p{N}]/gu, '*') + passage.slice(-keep);
}
