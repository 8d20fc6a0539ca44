import { readFileSync } from 'node:fs';
import { findPersonal, PERSONAL, type PersonalKind } from '../../src/data/check/personal.ts';

/** Names of presidio's kinds. */
const KINDS: Readonly<Record<string, PersonalKind>> = {
  CREDIT_CARD: 'card',
  EMAIL_ADDRESS: 'email',
  IBAN_CODE: 'iban',
  IP_ADDRESS: 'ip',
  PHONE_NUMBER: 'phone',
  US_SSN: 'id',
};

interface Marked {
  readonly text: string;
  readonly spans: readonly { readonly type: string; readonly start: number; readonly end: number }[];
}

/** Precision and recall by kind on sentences with marked personal data; a passage counts as found where a found one overlaps it. */
export function measurePersonal(file: string): void {
  const rows = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Marked);
  console.log(`personal data in ${rows.length} sentences`);
  for (const kind of PERSONAL) {
    let [right, wrong, missed] = [0, 0, 0];
    for (const { text, spans } of rows) {
      const marked = spans.filter((span) => KINDS[span.type] === kind);
      const found = findPersonal(text).filter((span) => span.kind === kind);
      const overlap = (a: { start: number; end: number }, b: { start: number; end: number }) =>
        a.start < b.end && b.start < a.end;
      for (const span of marked)
        if (found.some((f) => overlap(f, span))) right++;
        else missed++;
      wrong += found.filter((f) => !marked.some((span) => overlap(f, span))).length;
    }
    const f1 = (2 * right) / Math.max(1, 2 * right + wrong + missed);
    console.log(
      `  ${kind.padEnd(6)} precision ${(right / Math.max(1, right + wrong)).toFixed(3)} recall ${(right / Math.max(1, right + missed)).toFixed(3)} F1 ${f1.toFixed(3)} (${right + missed} marked)`,
    );
  }
}
