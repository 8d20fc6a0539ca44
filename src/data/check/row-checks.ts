import type { ErrorCode } from '../../errors/index.ts';
import { CONTROL, isBlank, mojibakeAt, repairMojibake, stripControls, UNDECODED, UNUSUAL } from './encoding.ts';
import { answerLanguage, languageOf } from './language.ts';
import { beginningToken, residue, templateToken, writtenTurns } from './markup.ts';
import { findPersonal, masked, type PersonalKind, type PersonalSpan } from './personal.ts';
import { findSecrets } from './secrets.ts';
import { type CheckRow, type Found, type Part, quoteAt, type RowCheck } from './types.ts';
import { generalisation, refusal, repetition, toxic } from './wording.ts';

/** The checks that look at a row alone. */
export function rowChecks(): RowCheck[] {
  return [...formChecks(), ...encodingChecks(), ...contentChecks(), ...personalChecks(), SECRETS];
}

/** Looks for something in each text of a row; the first hit is told, with how many more there are. */
function inParts(row: CheckRow, look: (part: Part) => Found | undefined): Found | undefined {
  let first: Found | undefined;
  for (const part of row.parts) {
    if (part.text === '') continue;
    const found = look(part);
    if (found === undefined) continue;
    first ??= { ...found, message: `${part.where} ${found.message}` };
    // Graver ones go before.
    if (found.severity === undefined)
      return first.severity === undefined ? first : { ...found, message: `${part.where} ${found.message}` };
  }
  return first;
}

const SECRETS: RowCheck = {
  code: 'DATA_SECRET',
  severity: 'error',
  find: (row) => inParts(row, secretIn),
};

/** A secret in a text of a row, masked. */
export function secretIn({ text }: Pick<Part, 'text'>): Found | undefined {
  const [secret] = findSecrets(text);
  if (secret === undefined) return undefined;
  return { message: `holds ${secret.name}.`, quote: hide(text, secret.start, secret.end) };
}

function hide(text: string, start: number, end: number): string {
  const shown = masked(text.slice(start, end)).slice(0, 60);
  const before = text.slice(Math.max(0, start - 30), start).replace(/\s+/g, ' ');
  return `${start > 30 ? '…' : ''}${before}${shown}${end < text.length ? '…' : ''}`;
}

function formChecks(): RowCheck[] {
  return [
    {
      code: 'DATA_SPECIAL_TOKEN',
      severity: 'error',
      find: (row) =>
        inParts(row, ({ role, text }) => {
          const found = templateToken(text);
          if (found === undefined || beginningToken(text) === found.token) return undefined;
          const message = `holds the text ${found.token}, a token of chat templates.`;
          const quote = quoteAt(text, found.at, found.token.length);
          // Raw text may have been rendered on purpose.
          return role === 'text' || role === 'other' ? { message, quote, severity: 'warning' } : { message, quote };
        }),
    },
    {
      code: 'DATA_DOUBLE_BOS',
      severity: 'error',
      find: (row) =>
        doubleIds(row) ?? inParts(row, ({ role, text }) => (role === 'other' ? undefined : doubleText(text))),
    },
    {
      code: 'DATA_END_OF_TURN',
      severity: 'warning',
      find: ({ tokens }) => {
        if (tokens === undefined) return undefined;
        const last = tokens.labels.findLastIndex((label) => label !== -100);
        if (last < 0 || last === tokens.labels.length - 1) return undefined;
        const id = tokens.ids[last + 1];
        return { message: `does not train token ${last + 2} (id ${id}), which follows the answer.` };
      },
    },
    {
      code: 'DATA_TURNS_IN_TEXT',
      severity: 'review',
      find: (row) =>
        inParts(row, ({ role, text }) => {
          const at = role === 'assistant' ? writtenTurns(text) : -1;
          return at < 0 ? undefined : { message: 'holds turns of a conversation as text.', quote: quoteAt(text, at) };
        }),
    },
    {
      code: 'DATA_MARKUP',
      severity: 'review',
      find: (row) =>
        inParts(row, ({ role, text }) => {
          const found = role === 'tool' ? undefined : residue(text);
          return found && { message: `holds ${found.what}.`, quote: quoteAt(text, found.at, 6) };
        }),
    },
  ];
}

function doubleText(text: string): Found | undefined {
  const token = beginningToken(text);
  if (token === undefined) return undefined;
  return { message: `starts with ${token}, which the template writes itself.`, quote: quoteAt(text) };
}

function doubleIds({ tokens }: CheckRow): Found | undefined {
  const ids = tokens?.ids ?? [];
  if (ids.length < 3 || ids[0] !== ids[1]) return undefined;
  return { message: `starts with the id ${ids[0]} twice.` };
}

function encodingChecks(): RowCheck[] {
  const unusual = (part: Part) => UNUSUAL.test(part.text);
  return [
    {
      code: 'DATA_MOJIBAKE',
      severity: 'warning',
      find: (row) =>
        inParts(row, (part) => {
          const at = unusual(part) ? mojibakeAt(part.text) : -1;
          if (at < 0) return undefined;
          const quote = quoteAt(part.text, at, 2);
          return { message: 'was decoded wrongly.', quote: `${quote} -> ${repairMojibake(quote)}` };
        }),
    },
    {
      code: 'DATA_ENCODING',
      severity: 'warning',
      find: (row) =>
        inParts(row, (part) => {
          const found = unusual(part) ? UNDECODED.exec(part.text) : null;
          if (found === null) return undefined;
          return { message: 'has lost characters that could not be decoded.', quote: quoteAt(part.text, found.index) };
        }),
    },
    {
      code: 'DATA_CONTROL',
      severity: 'warning',
      find: (row) =>
        inParts(row, (part) => {
          // Halves of wrongly decoded characters are told as such.
          const found = unusual(part) ? CONTROL.exec(repairMojibake(part.text)) : null;
          if (found === null) return undefined;
          const name = `U+${found[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
          return {
            message: `holds the control character ${name}.`,
            quote: stripControls(quoteAt(part.text, found.index)),
          };
        }),
    },
  ];
}

function contentChecks(): RowCheck[] {
  const inAnswers = (row: CheckRow, look: (part: Part) => Found | undefined) =>
    inParts(row, (part) => (part.role === 'assistant' ? look(part) : undefined));
  return [
    {
      code: 'DATA_EMPTY_ANSWER',
      severity: 'error',
      find: (row) =>
        // What is empty to the eye of trim() was told already.
        inAnswers(row, ({ text }) =>
          text.trim() !== '' && isBlank(text) ? { message: 'holds nothing that can be seen.' } : undefined,
        ),
    },
    {
      code: 'DATA_REFUSAL',
      severity: 'warning',
      find: (row) =>
        inAnswers(row, ({ text }) => {
          const found = refusal(text);
          return found && { message: `${found.what}.`, quote: quoteAt(text, found.at, 20) };
        }),
    },
    {
      code: 'DATA_ECHO',
      severity: 'warning',
      find: ({ answers, prompt, answer }) =>
        answers && answer.trim().length > 12 && answer.trim() === prompt.trim()
          ? { message: 'answers with the question itself.', quote: quoteAt(answer) }
          : undefined,
    },
    {
      code: 'DATA_REPETITION',
      severity: 'warning',
      find: (row) =>
        inAnswers(row, ({ text }) => {
          const again = repetition(text);
          return again === undefined
            ? undefined
            : { message: 'says the same three times in a row.', quote: quoteAt(again) };
        }),
    },
    {
      code: 'DATA_TOXIC',
      severity: 'warning',
      find: (row) =>
        inParts(row, ({ role, text }) => {
          const found = toxic(text);
          if (found === undefined) return undefined;
          const told = { message: `holds ${found.what}.`, quote: quoteAt(text, found.at, 10) };
          return found.grave && role !== 'user' && role !== 'system' ? told : { ...told, severity: 'review' };
        }),
    },
    {
      code: 'DATA_BIAS',
      severity: 'warning',
      find: (row) =>
        inParts(row, ({ role, text }) => {
          const at = generalisation(text);
          if (at < 0) return undefined;
          const told = { message: 'says of a group of people what holds for none.', quote: quoteAt(text, at, 30) };
          return role === 'user' ? { ...told, severity: 'review' } : told;
        }),
    },
    { code: 'DATA_LANGUAGE', severity: 'warning', find: otherLanguage },
  ];
}

/** Words by which a question asks for another language. */
const ASKS_FOR_LANGUAGE =
  /translat|übersetz|tradui|traduc|tradu[zç]|vertaal|перевед|翻译|翻譯|翻訳|번역|\b(?:in|into|to|from|auf|en|ins?|how (?:do|to|would) (?:you|i)? ?say)\b.{0,20}\b(?:english|german|french|spanish|italian|portuguese|dutch|swedish|danish|polish|turkish|czech|romanian|hungarian|finnish|russian|ukrainian|chinese|japanese|korean|arabic|hindi|latin|deutsch|englisch|französisch|anglais|français|inglés|español|inglese|italiano)\b/i;

function otherLanguage(row: CheckRow): Found | undefined {
  const { answers, prompt, answer } = row;
  if (!answers || answer.length < 30 || prompt.length < 20) return undefined;
  const given = answerLanguage(row);
  if (given === undefined) return undefined;
  const asked = languageOf(prompt);
  if (asked === undefined || asked === given || ASKS_FOR_LANGUAGE.test(prompt) || ASKS_FOR_LANGUAGE.test(answer))
    return undefined;
  return { message: `asks in ${asked} and is answered in ${given}.`, quote: quoteAt(answer) };
}

const PERSONAL_CODES: Readonly<Record<PersonalKind, ErrorCode>> = {
  email: 'DATA_PII_EMAIL',
  phone: 'DATA_PII_PHONE',
  card: 'DATA_PII_CARD',
  iban: 'DATA_PII_IBAN',
  id: 'DATA_PII_ID',
  ip: 'DATA_PII_IP',
};

function personalChecks(): RowCheck[] {
  let seen: CheckRow | undefined;
  let spans: readonly (PersonalSpan & { readonly part: Part })[] = [];
  const personal = (row: CheckRow) => {
    if (row !== seen) {
      seen = row;
      spans = row.parts.flatMap((part) => findPersonal(part.text).map((span) => ({ ...span, part })));
    }
    return spans;
  };
  return (Object.entries(PERSONAL_CODES) as [PersonalKind, ErrorCode][]).map(([kind, code]) => ({
    code,
    severity: 'warning',
    find(row) {
      const found = personal(row).filter((span) => span.kind === kind);
      const [first] = found;
      if (first === undefined) return undefined;
      const more = found.length > 1 ? `, and ${found.length - 1} more` : '';
      const quote = hide(first.part.text, first.start, first.end);
      return { message: `${first.part.where} holds ${first.name}${more}.`, quote };
    },
  }));
}
