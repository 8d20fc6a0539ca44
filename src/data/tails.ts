import type { Row } from './row.ts';

/** Documents that were cut in two, the second part held out. */
export interface TailSplit {
  readonly train: readonly Row[];
  readonly select: readonly Row[];
  readonly report: readonly Row[];
}

/** A row that is plain text. */
export type TextRow = Row & { readonly kind: 'text' };

/** Characters of a tail below which its document stays whole. */
const FEWEST = 200;

/**
 * Holds out the end of each document, cut at the end of a line where there is one: the first half of the end selects, the second reports. For documents that are
 * too few to hold out whole ones.
 *
 * @param share of each document, above 0 and below 1
 * @param most characters of all that is held out
 */
export function splitTails(rows: readonly TextRow[], share: number, most = Number.POSITIVE_INFINITY): TailSplit {
  const total = rows.reduce((n, { text }) => n + text.length, 0);
  const held = Math.min(share, most / Math.max(1, total));
  const split: { train: Row[]; select: Row[]; report: Row[] } = { train: [], select: [], report: [] };
  for (const row of rows) {
    const { text } = row;
    const tail = Math.round(text.length * held);
    const first = cutBefore(text, text.length - tail);
    const second = cutBefore(text, text.length - tail / 2);
    const parts = [text.slice(0, first), text.slice(first, second), text.slice(second)];
    if (tail < FEWEST || parts.some((part) => part.trim() === '')) {
      split.train.push(row);
      continue;
    }
    const [train, select, report] = parts.map((part) => ({ ...row, text: part })) as [Row, Row, Row];
    split.train.push(train);
    split.select.push(select);
    split.report.push(report);
  }
  return split;
}

/** Cuts held-out documents in two, as {@link splitTails} does: what selects, and what reports. One that is too short selects. */
export function splitHalves(rows: readonly TextRow[]): Omit<TailSplit, 'train'> {
  const select: Row[] = [];
  const report: Row[] = [];
  for (const row of rows) {
    const { text } = row;
    const at = cutBefore(text, text.length / 2);
    const isCut = text.length >= FEWEST && text.slice(0, at).trim() !== '' && text.slice(at).trim() !== '';
    select.push(isCut ? { ...row, text: text.slice(0, at) } : row);
    if (isCut) report.push({ ...row, text: text.slice(at) });
  }
  return { select, report };
}

/** The beginning of the line that `at` lies in; in a long line that of the word, or else the character. */
function cutBefore(text: string, at: number): number {
  const place = Math.floor(at);
  const before = text.slice(Math.max(0, place - FEWEST / 2), place);
  const break_ = Math.max(before.lastIndexOf('\n'), before.includes('\n') ? -1 : before.lastIndexOf(' '));
  if (break_ >= 0) return place - before.length + break_ + 1;
  // The second half of a pair of surrogates belongs to the first.
  return /[\udc00-\udfff]/.test(text[place] ?? '') ? place - 1 : place;
}
