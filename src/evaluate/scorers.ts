/** How an answer is held against its references; the best reference counts. */
export type Metric = 'exact' | 'contains' | 'regex' | 'numeric';

/** All metrics. */
export const METRICS: readonly Metric[] = ['exact', 'contains', 'regex', 'numeric'];

/**
 * Whether an answer is right: `exact` is the same text but for case, white space and a full stop at the end; `contains` holds the reference so; `regex`
 * matches it; `numeric` ends with the same number (thousands with commas, within 1e-6 of itself).
 */
export function isRight(metric: Metric, answer: string, references: readonly string[]): boolean {
  switch (metric) {
    case 'exact':
      return references.some((reference) => plain(answer) === plain(reference));
    case 'contains':
      return references.some((reference) => plain(answer).includes(plain(reference)));
    case 'regex':
      return references.some((reference) => new RegExp(reference, 'u').test(answer));
    case 'numeric': {
      const given = lastNumber(answer);
      return references.some((reference) => sameNumber(given, lastNumber(reference)));
    }
    default:
      return metric satisfies never;
  }
}

/** What is wrong with a reference, or undefined: it must be able to be met. */
export function referenceFault(metric: Metric, reference: string): string | undefined {
  if (metric === 'numeric') return lastNumber(reference) === undefined ? 'holds no number' : undefined;
  if (metric !== 'regex') return plain(reference) === '' ? 'is empty' : undefined;
  try {
    new RegExp(reference, 'u');
    return undefined;
  } catch {
    return 'is no regular expression';
  }
}

/** The last number of a text: answers that reason end with their result. */
export function lastNumber(text: string): number | undefined {
  const found = text.match(/-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|-?\d+(?:\.\d+)?/g)?.at(-1);
  return found === undefined ? undefined : Number(found.replaceAll(',', ''));
}

function sameNumber(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b));
}

function plain(text: string): string {
  return text.normalize('NFC').trim().toLowerCase().replace(/\s+/g, ' ').replace(/\.$/, '');
}
