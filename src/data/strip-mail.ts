/** What may be taken out of the text of a mail. */
export const STRIPS = ['quotes', 'signatures'] as const;
export type Strip = (typeof STRIPS)[number];

/** A mail without what was taken out, and what that was. */
export interface Stripped {
  readonly text: string;
  readonly quotes: boolean;
  readonly signatures: boolean;
}

/** Lines after which the mail that is answered stands: `On Monday Ann wrote:` in the languages of the larger mail programs. */
const INTRODUCTIONS = [
  /^\s*(on\b.{5,200}\bwrote|am\b.{5,200}\bschrieb.{0,80}|le\b.{5,200}\ba écrit|el\b.{5,200}\bescribió|il\b.{5,200}\bha scritto|op\b.{5,200}\bschreef.{0,80}|em\b.{5,200}\bescreveu)\s*:\s*$/iu,
  /^\s*-{2,}\s*(original message|forwarded message|ursprüngliche nachricht|message d'origine|mensaje original|messaggio originale|oorspronkelijk bericht)\s*-{2,}\s*$/iu,
  /^_{10,}\s*$/,
];
/** The head of a quoted mail as Outlook writes it: a sender, and below it a date or a receiver. */
const HEAD = /^\s*\*?(from|von|de|da|van)\s*:\*?\s.+$/iu;
const HEAD_BELOW = /^\s*\*?(sent|to|date|subject|gesendet|an|datum|betreff|envoyé|à|objet|enviado|para|asunto)\s*:/iu;

const SIGNATURE_MARK = /^-- ?$/;
const SENT_FROM =
  /^\s*(sent from my |sent from (mail|outlook)|get outlook for |von meinem .{2,30} gesendet|envoyé de mon )/iu;
const CLOSINGS =
  /^\s*((best|kind|warm|many)\s+)?(regards|wishes|thanks)\s*[,.!]?\s*$|^\s*(sincerely|yours (sincerely|faithfully|truly)|cheers|mit freundlichen grüßen|viele grüße|beste grüße|liebe grüße|cordialement|bien à vous|saludos( cordiales)?|cordiali saluti|met vriendelijke groet|atenciosamente)\s*[,.!]?\s*$/iu;
/** A closing is followed by a name and what belongs to it: this many short lines at most. */
const SIGNATURE = { lines: 8, characters: 80 };

/** Takes quoted mail and signatures out of a text, which may leave nothing. */
export function stripMail(text: string, strips: readonly Strip[]): Stripped {
  let lines = text.split(/\r?\n/);
  const before = lines.length;
  if (strips.includes('quotes')) lines = withoutQuotes(lines);
  const quotes = lines.length < before;
  const unsigned = strips.includes('signatures') ? withoutSignature(lines) : lines;
  const signatures = unsigned.length < lines.length;
  if (!quotes && !signatures) return { text, quotes, signatures };
  return { text: unsigned.join('\n').trim(), quotes, signatures };
}

function withoutQuotes(lines: readonly string[]): string[] {
  const start = lines.findIndex((line, i) => {
    // An introduction may be broken over two lines.
    const two = `${line} ${lines[i + 1] ?? ''}`;
    if (INTRODUCTIONS.some((pattern) => pattern.test(line))) return true;
    if (/^\s*(on|am|le|el)\b/i.test(line) && INTRODUCTIONS[0]?.test(two)) return true;
    return HEAD.test(line) && lines.slice(i + 1, i + 4).some((below) => HEAD_BELOW.test(below));
  });
  const own = start < 0 ? lines : lines.slice(0, start);
  return own.filter((line) => !/^\s*>/.test(line));
}

function withoutSignature(lines: readonly string[]): readonly string[] {
  const mark = lines.findIndex((line, i) => SIGNATURE_MARK.test(line) || (i > 0 && SENT_FROM.test(line)));
  const own = mark < 0 ? lines : lines.slice(0, mark);
  const closing = own.findLastIndex((line) => CLOSINGS.test(line));
  const below = own.slice(closing + 1).filter((line) => line.trim() !== '');
  const isEnd = below.length <= SIGNATURE.lines && below.every((line) => line.length <= SIGNATURE.characters);
  return closing > 0 && isEnd ? own.slice(0, closing) : own;
}
