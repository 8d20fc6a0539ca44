import { randomInteger, repeated } from './random.ts';

/** A conversation as it goes into the file. */
export interface Chat {
  messages: { role: string; content: string }[];
  label?: string;
}

/** A kind of defect: which codes find it, and how it is made. */
export interface Defect {
  readonly name: string;
  readonly codes: readonly string[];
  /** Whether recall of at least 0.95 is the goal. */
  readonly mechanical: boolean;
  /** Where the row goes: into what is checked, and perhaps another into what is held out. */
  make(row: Chat, draw: Draw): Made | undefined;
}

/** What a defect makes of a clean row. */
export interface Made {
  /** A line of the file; takes the place of the clean row, or comes beside it. */
  readonly line: string;
  readonly beside?: boolean;
  readonly heldOut?: string;
}

/** Random choices of one injection, and other rows to take text from. */
export interface Draw {
  integer(below: number): number;
  pick<T>(list: readonly T[]): T;
  other(): Chat;
}

const json = (row: unknown) => JSON.stringify(row);
const last = (row: Chat) => row.messages.at(-1)!;
const withAnswer = (row: Chat, content: string): Chat => ({
  ...row,
  messages: [...row.messages.slice(0, -1), { ...last(row), content }],
});
const answered = (change: (answer: string, draw: Draw) => string | undefined) => (row: Chat, draw: Draw) => {
  const changed = change(last(row).content, draw);
  return changed === undefined ? undefined : { line: json(withAnswer(row, changed)) };
};
/** Puts a passage behind a sentence of the answer. */
const inserted = (passage: (draw: Draw) => string) =>
  answered((answer, draw) => {
    const at = answer.indexOf('. ');
    const text = passage(draw);
    return at < 0 ? `${answer} ${text}` : `${answer.slice(0, at + 1)} ${text}${answer.slice(at + 1)}`;
  });
const digits = (draw: Draw, count: number) => repeated(count, () => draw.integer(10)).join('');

function luhnDigit(digitsBefore: string): string {
  let sum = 0;
  for (const [i, c] of [...digitsBefore].reverse().entries())
    sum += i % 2 === 0 ? (Number(c) * 2 > 9 ? Number(c) * 2 - 9 : Number(c) * 2) : Number(c);
  return String((10 - (sum % 10)) % 10);
}

function card(draw: Draw): string {
  const start = draw.pick(['4', '51', '37', '6011']);
  const body = start + digits(draw, (start === '37' ? 14 : 15) - start.length);
  const all = body + luhnDigit(body);
  return draw.integer(2) === 0 && all.length === 16 ? all.replace(/(\d{4})(?=\d)/g, '$1 ') : all;
}

function iban(draw: Draw): string {
  const body = digits(draw, 18);
  const check = 98n - (BigInt(`${body}131400`) % 97n);
  return `DE${String(check).padStart(2, '0')}${body}`;
}

/** What reading UTF-8 as Windows-1252 makes of a text. */
function misread(text: string): string {
  return new TextDecoder('windows-1252').decode(new TextEncoder().encode(text));
}

const NAMES = ['anna.keller', 'j.smith', 'maria_lopez', 'tom.wong88', 'p.dubois'];
const HOSTS = ['gmail.com', 'firma-mueller.de', 'mail.example.org', 'outlook.co.uk'];
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const key = (draw: Draw, count: number) => repeated(count, () => LETTERS[draw.integer(62)]!).join('');
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

const OTHER_LANGUAGES = [
  'Vielen Dank für Ihre Nachricht. Wir haben die Bestellung geprüft und werden uns in den nächsten Tagen bei Ihnen melden, sobald die Lieferung unterwegs ist.',
  'Merci pour votre message. Nous avons vérifié la commande et nous vous écrirons dans les prochains jours, dès que la livraison sera en route vers vous.',
  'Gracias por su mensaje. Hemos revisado el pedido y nos pondremos en contacto con usted en los próximos días, cuando el envío esté en camino.',
];
const REFUSALS = [
  "I'm sorry, but I can't help with that request.",
  'As an AI language model, I do not have access to that information.',
  'I cannot assist with this, as it goes against my guidelines.',
];

/** The kinds of defects, in the order in which they are injected. */
export const DEFECTS: readonly Defect[] = [
  {
    name: 'malformed JSON',
    codes: ['DATA_JSON'],
    mechanical: true,
    make: (row, draw) => ({ line: json(row).slice(0, -1 - draw.integer(20)) }),
  },
  {
    name: 'unknown role',
    codes: ['DATA_ROLE_UNKNOWN'],
    mechanical: true,
    make: (row, draw) => ({
      line: json({
        messages: row.messages.map((m) =>
          m.role === 'assistant' ? { ...m, role: draw.pick(['bot', 'agent', 'Assistant']) } : m,
        ),
      }),
    }),
  },
  {
    name: 'two answers in a row',
    codes: ['DATA_ORDER'],
    mechanical: true,
    make: (row) => ({ line: json({ messages: [...row.messages, last(row)] }) }),
  },
  {
    name: 'no answer',
    codes: ['DATA_NO_ASSISTANT'],
    mechanical: true,
    make: (row) => ({ line: json({ messages: row.messages.slice(0, 1) }) }),
  },
  {
    name: 'empty answer',
    codes: ['DATA_EMPTY_ANSWER'],
    mechanical: true,
    make: answered((_, draw) => draw.pick(['', ' ', '\n\n', '\u200b', '\u00a0 '])),
  },
  {
    name: 'template token',
    codes: ['DATA_SPECIAL_TOKEN', 'DATA_DOUBLE_BOS'],
    mechanical: true,
    make: answered((answer, draw) =>
      draw.pick([
        `${answer}<|im_end|>`,
        `${answer}</s>`,
        `[INST] ${answer} [/INST]`,
        `${answer}<|eot_id|>`,
        `${answer}<|endoftext|>`,
      ]),
    ),
  },
  {
    name: 'double BOS',
    codes: ['DATA_DOUBLE_BOS', 'DATA_SPECIAL_TOKEN'],
    mechanical: true,
    make: (row, draw) => ({
      line: json({
        messages: row.messages.map((m, i) =>
          i === 0 ? { ...m, content: `${draw.pick(['<s>', '<|begin_of_text|>', '<bos>'])}${m.content}` } : m,
        ),
      }),
    }),
  },
  {
    name: 'mojibake',
    codes: ['DATA_MOJIBAKE', 'DATA_CONTROL'],
    mechanical: true,
    make: inserted((draw) =>
      misread(
        draw.pick([
          'The café’s menu is “special”.',
          'Señor Núñez said so.',
          'It costs 20 € – not more.',
          'Grüße aus München.',
        ]),
      ),
    ),
  },
  {
    name: 'lost characters',
    codes: ['DATA_ENCODING'],
    mechanical: true,
    make: inserted((draw) => draw.pick(['It\ufffds fine.', 'The caf\ufffd is open.'])),
  },
  {
    name: 'control characters',
    codes: ['DATA_CONTROL'],
    mechanical: true,
    make: inserted((draw) => `See${draw.pick(['\u0000', '\u0008', '\u001b[31m', '\u200b', '\u0092'])}this.`),
  },
  {
    name: 'exact duplicate',
    codes: ['DATA_DUPLICATE'],
    mechanical: true,
    make: (row) => ({ line: json(row), beside: true }),
  },
  {
    name: 'near-duplicate',
    codes: ['DATA_NEAR_DUPLICATE', 'DATA_DUPLICATE', 'DATA_CONFLICT'],
    mechanical: true,
    make: (row, draw) => {
      const words = last(row).content.split(' ');
      if (words.length < 12) return undefined;
      words[2 + draw.integer(words.length - 4)] = draw.pick(['indeed', 'really', 'also', 'perhaps']);
      return { line: json({ ...withAnswer(row, words.join(' ')) }), beside: true };
    },
  },
  {
    name: 'conflicting answer',
    codes: ['DATA_CONFLICT', 'DATA_NEAR_DUPLICATE'],
    mechanical: false,
    make: (row, draw) => ({ line: json(withAnswer(row, last(draw.other()).content)), beside: true }),
  },
  {
    name: 'truncated answer',
    codes: ['DATA_CUT_OFF'],
    mechanical: false,
    make: answered((answer, draw) => {
      if (answer.length < 60) return undefined;
      const at = Math.floor(answer.length * (0.3 + 0.6 * (draw.integer(1000) / 1000)));
      const head = answer.slice(0, draw.integer(2) === 0 ? at : Math.max(30, answer.lastIndexOf(' ', at)));
      return /[.!?:]\s*$/.test(head) ? undefined : head;
    }),
  },
  {
    name: 'e-mail address',
    codes: ['DATA_PII_EMAIL'],
    mechanical: true,
    make: inserted((draw) => `Write to ${draw.pick(NAMES)}@${draw.pick(HOSTS)}.`),
  },
  {
    name: 'telephone number',
    codes: ['DATA_PII_PHONE'],
    mechanical: true,
    make: inserted(
      (draw) =>
        `Call ${draw.pick([`+49 30 ${digits(draw, 7)}`, `(415) 555-${digits(draw, 4)}`, `212-555-${digits(draw, 4)}`, `+44 20 7946 ${digits(draw, 4)}`])}.`,
    ),
  },
  {
    name: 'card number',
    codes: ['DATA_PII_CARD'],
    mechanical: true,
    make: inserted((draw) => `The card is ${card(draw)}.`),
  },
  { name: 'IBAN', codes: ['DATA_PII_IBAN'], mechanical: true, make: inserted((draw) => `Pay to ${iban(draw)}.`) },
  {
    name: 'identity number',
    codes: ['DATA_PII_ID'],
    mechanical: true,
    make: inserted(
      (draw) => `The number is ${100 + draw.integer(500)}-${10 + draw.integer(89)}-${1000 + draw.integer(8999)}.`,
    ),
  },
  {
    name: 'IP address',
    codes: ['DATA_PII_IP'],
    mechanical: true,
    make: inserted(
      (draw) =>
        `It came from ${20 + draw.integer(180)}.${draw.integer(256)}.${draw.integer(256)}.${1 + draw.integer(254)}.`,
    ),
  },
  {
    name: 'secret',
    codes: ['DATA_SECRET'],
    mechanical: true,
    make: inserted((draw) =>
      draw.pick([
        `The key is sk-${key(draw, 48)}.`,
        `Use AKIA${repeated(16, () => UPPER[draw.integer(32)]!).join('')}.`,
        `ghp_${key(draw, 36)} opens it.`,
        `password = "${key(draw, 6)}!7aB"`,
        '-----BEGIN RSA PRIVATE KEY-----',
      ]),
    ),
  },
  { name: 'refusal', codes: ['DATA_REFUSAL'], mechanical: false, make: answered((_, draw) => draw.pick(REFUSALS)) },
  {
    name: 'placeholder',
    codes: ['DATA_PLACEHOLDER'],
    mechanical: false,
    make: answered((_, draw) => draw.pick(['TODO', 'N/A', 'null', '[object Object]', 'lorem ipsum dolor sit amet'])),
  },
  {
    name: 'insult or threat',
    codes: ['DATA_TOXIC'],
    mechanical: false,
    make: inserted((draw) =>
      draw.pick(['You are a stupid idiot.', 'Just kill yourself.', 'You are such a worthless moron.']),
    ),
  },
  {
    name: 'generalisation',
    codes: ['DATA_BIAS'],
    mechanical: false,
    make: inserted((draw) =>
      draw.pick([
        'Women are naturally worse at this.',
        'All immigrants are criminals.',
        'Old people are too emotional.',
      ]),
    ),
  },
  {
    name: 'other language',
    codes: ['DATA_LANGUAGE'],
    mechanical: false,
    make: answered((_, draw) => draw.pick(OTHER_LANGUAGES)),
  },
  {
    name: 'question as answer',
    codes: ['DATA_ECHO'],
    mechanical: false,
    make: (row) =>
      row.messages[0]!.content.trim().length > 12 && row.messages.length === 2
        ? { line: json(withAnswer(row, row.messages[0]!.content)) }
        : undefined,
  },
  {
    name: 'leak of a test row',
    codes: ['DATA_LEAK'],
    mechanical: true,
    make: (row) => ({ line: json(row), heldOut: json(row) }),
  },
  {
    name: 'leak, reworded',
    codes: ['DATA_LEAK_NEAR', 'DATA_LEAK', 'DATA_LEAK_WORDS'],
    mechanical: true,
    make: (row, draw) => {
      const words = last(row).content.split(' ');
      if (words.length < 12) return undefined;
      words[2 + draw.integer(words.length - 4)] = 'indeed';
      return { line: json(row), heldOut: json(withAnswer(row, words.join(' '))) };
    },
  },
];

/** The kinds of defects of labelled rows. */
export const LABEL_DEFECTS: readonly (Pick<Defect, 'name' | 'codes'> & {
  make(label: string, labels: readonly string[], draw: Draw): string;
})[] = [
  {
    name: 'wrong label',
    codes: ['DATA_LABEL_SUSPECT', 'DATA_CONFLICT'],
    make: (label, labels, draw) => draw.pick(labels.filter((other) => other !== label)),
  },
  {
    name: 'misspelt label',
    codes: ['DATA_LABEL_TYPO'],
    make: (label, _, draw) => {
      const at = 1 + draw.integer(Math.max(1, label.length - 2));
      return draw.pick([label.toUpperCase(), ` ${label}`, label.slice(0, at) + label.slice(at + 1)]);
    },
  },
];

/** Opens the choices of one injection. */
export function openDraw(seed: number, purpose: string, row: number, rows: readonly Chat[]): Draw {
  let taken = 0;
  const integer = (below: number) => randomInteger(seed, purpose, row, taken++, below);
  return { integer, pick: (list) => list[integer(list.length)]!, other: () => rows[integer(rows.length)]! };
}
