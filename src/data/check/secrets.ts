import type { Row } from '../row.ts';

/** A passage that opens something. */
export interface SecretSpan {
  readonly name: string;
  /** UTF-16 units, the end excluded. */
  readonly start: number;
  readonly end: number;
}

interface SecretForm {
  readonly name: string;
  readonly pattern: RegExp;
  /** The characters that must be random, where the form alone says too little. */
  readonly random?: boolean;
}

/** Forms of keys as their issuers document them. */
const FORMS: readonly SecretForm[] = [
  { name: 'a private key', pattern: /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----/g },
  {
    name: 'an AWS access key',
    pattern: /(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{12,16}[A-Z0-9]{0,4}(?![A-Za-z0-9])/g,
  },
  { name: 'a GitHub token', pattern: /(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255})/g },
  { name: 'a GitLab token', pattern: /(?<!\w)gl(?:pat|dt|rt|soat)-[\w-]{20,64}/g },
  { name: 'an Anthropic key', pattern: /(?<!\w)sk-ant-[\w-]{16,200}/g },
  {
    name: 'an OpenAI key',
    pattern: /(?<![\w-])sk-(?:proj-|svcacct-|admin-|live-|test-)?[A-Za-z0-9_-]{20,200}/g,
    random: true,
  },
  { name: 'a Hugging Face token', pattern: /(?<!\w)(?:hf|api_org)_[A-Za-z0-9]{28,64}/g },
  { name: 'a Google key', pattern: /(?<!\w)AIza[\w-]{32,40}/g },
  { name: 'a Google OAuth secret', pattern: /(?<!\w)(?:GOCSPX-[\w-]{20,40}|ya29\.[\w-]{30,})/g },
  { name: 'a Slack token', pattern: /(?<!\w)xox[abeoprs]-[A-Za-z0-9-]{10,250}/g },
  { name: 'a Slack webhook', pattern: /hooks\.slack\.com\/(?:services|workflows)\/T\w{6,}\/\w{6,}\/\w{16,}/g },
  { name: 'a Stripe key', pattern: /(?<!\w)(?:[rs]k|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,250}/g, random: true },
  { name: 'a SendGrid key', pattern: /(?<!\w)SG\.[\w-]{16,32}\.[\w-]{16,64}/g },
  { name: 'a Twilio key', pattern: /(?<!\w)(?:SK|AC)[0-9a-f]{32}(?!\w)/g },
  { name: 'an npm token', pattern: /(?<!\w)npm_[A-Za-z0-9]{30,50}/g },
  { name: 'a PyPI token', pattern: /(?<!\w)pypi-[\w-]{40,250}/g },
  { name: 'a Telegram bot token', pattern: /(?<!\w)\d{8,10}:AA[\w-]{30,40}(?!\w)/g },
  { name: 'a Discord token', pattern: /(?<!\w)[MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,40}/g },
  { name: 'a DigitalOcean token', pattern: /(?<!\w)do[opr]_v1_[0-9a-f]{40,64}/g },
  { name: 'a Shopify token', pattern: /(?<!\w)shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}/g },
  { name: 'a Mailchimp key', pattern: /(?<!\w)[0-9a-f]{32}-us\d{1,2}(?!\w)/g },
  { name: 'a Mailgun key', pattern: /(?<![\w-])key-[0-9a-f]{32}(?!\w)/g },
  { name: 'an Azure storage key', pattern: /AccountKey=[A-Za-z0-9+/]{60,100}={0,2}/g },
  { name: 'a JSON web token', pattern: /(?<!\w)eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}/g },
  {
    name: 'a password in an address',
    pattern:
      /(?<!\w)[a-z][a-z0-9+.-]{1,20}:\/\/(?!anonymous:)[^\s:/@'"<>]{1,64}:(?!\/\/)[^\s:/@'"<>{}$*]{3,128}@[\w.-]+/gi,
  },
  {
    name: 'a key or password',
    pattern:
      /(?<![A-Za-z])(?:api[_ -]?key|apikey|access[_ -]?key|secret[_ -]?(?:access[_ -]?)?key|client[_ -]?secret|auth[_ -]?token|access[_ -]?token|api[_ -]?token|bearer|private[_ -]?key|secret|token|encryption[_ -]?key)["']?\s{0,3}(?:is|=>?|:=?|\s)\s{0,3}["'`]?([A-Za-z0-9+/_=.-]{16,200})/gi,
    random: true,
  },
  {
    name: 'a password',
    pattern:
      /(?<![A-Za-z])(?:password|passwd|pwd|passphrase|DB_PASS|PGPASSWORD)["']?\s{0,2}(?:=>?|:=?| is )\s{0,2}["'`]?([^\s"'`,;<>{}()[\]]{6,64})/gi,
    random: true,
  },
];

/** What stands in nearly every secret's surroundings, so that most texts are let pass at once. */
const HINT =
  /PRIVATE KEY|A(?:KI|SI|BI|CC)A|gh[pousr]_|github_pat|gl(?:pat|dt|rt|soat)-|sk-|hf_|api_org_|AIza|GOCSPX|ya29|xox|hooks\.slack|[rs]k_|whsec_|SG\.|SK[0-9a-f]{8}|AC[0-9a-f]{8}|npm_|pypi-|:AA|[MNO][A-Za-z\d]{23}|do[opr]_v1|shp(?:at|ca|pa|ss)_|-us\d|key-|AccountKey|eyJ|:\/\/[^\s/]*@|key|secret|token|bearer|passw|pwd|passphrase|DB_PASS/i;

/** Secrets in a text, in order of their forms. Placeholders (`sk-xxxx`, `<your key>`) are none. */
export function findSecrets(text: string): SecretSpan[] {
  if (!HINT.test(text)) return [];
  const spans: SecretSpan[] = [];
  for (const { name, pattern, random } of FORMS) {
    for (const match of text.matchAll(pattern)) {
      const value = match[1] ?? match[0];
      if (
        isPlaceholder(value) ||
        EXAMPLE_ADDRESS.test(match[0] + text.slice(match.index + match[0].length).slice(0, 80))
      )
        continue;
      if (random === true && !isRandom(value, name === 'a password')) continue;
      const start = match.index + match[0].lastIndexOf(value);
      const end = start + value.length;
      if (!spans.some((span) => start < span.end && end > span.start)) spans.push({ name, start, end });
    }
  }
  return spans;
}

/** An address whose parts name themselves, or whose host is kept for examples (RFC 2606). */
const EXAMPLE_ADDRESS =
  /^[a-z][a-z+.-]*:\/\/(?:[^\s/]*@(?:[^\s/@]*\.)?(?:example\.(?:com|net|org)|[^\s/@]*\.(?:example|test|invalid))\b|[^\s/:@]*:(?:pass(?:word|wd)?|pwd|secret|pw)@)/i;

function isPlaceholder(value: string): boolean {
  const body = value.replace(/^[a-z]{2,8}[-_]/i, '');
  return /^(.)\1+$|x{5,}|\*{3,}|\.{3}|_{4,}|your|placeholder|change_?me|dummy|redacted/i.test(body);
}

/** Whether characters are drawn and not spelt: letters with digits, and no few that repeat. */
function isRandom(value: string, isPassword: boolean): boolean {
  const hasDigit = /\d/.test(value);
  const hasLetter = /[A-Za-z]/.test(value);
  const distinct = new Set(value).size;
  if (isPassword) {
    const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) =>
      kind.test(value.replace(/[.!?:]+$/, '')),
    ).length;
    return kinds >= 3 && value.length >= 6 && distinct >= 5;
  }
  if (!hasDigit || !hasLetter || distinct < 9) return false;
  // Words joined by dashes and dots are names of files and variables.
  const pieces = value.split(/[-_.=/]/);
  return pieces.some((piece) => piece.length >= 12 && /\d/.test(piece) && /[A-Za-z]/.test(piece) && entropy(piece) > 3);
}

/** Bits per character of a text by its own counts. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

/** What secret a row holds, and where, in words. */
export function secretInRow(row: Row): string | undefined {
  for (const { where, text } of textsOf(row)) {
    const [secret] = findSecrets(text);
    if (secret !== undefined) return `${where} holds ${secret.name}.`;
  }
  return undefined;
}

function textsOf(row: Row): readonly { readonly where: string; readonly text: string }[] {
  switch (row.kind) {
    case 'messages':
      return row.messages.map(({ role, content, reasoning_content = '', tool_calls }, i) => ({
        where: `message ${i + 1} (${role})`,
        text: `${content}\n${reasoning_content}\n${tool_calls === undefined ? '' : JSON.stringify(tool_calls)}`,
      }));
    case 'prompt':
      return [
        { where: 'prompt', text: row.prompt },
        { where: 'completion', text: row.completion },
      ];
    case 'text':
      return [{ where: 'text', text: row.text }];
    case 'ids':
      return [];
    default:
      return row satisfies never;
  }
}
