import type { Row } from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';

/** Words that a text must share with one that is measured, one after the other, to be taken for it. */
const WORDS = 13;

/**
 * Refuses to replay texts on which forgetting is measured: what is trained on tells nothing of what was forgotten.
 *
 * @throws REPLAY_MEASURED
 */
export function requireUnmeasured(rows: readonly Row[], measured: readonly string[]): void {
  const known = new Set(measured.flatMap((text) => [...shingles(text)]));
  if (known.size === 0) return;
  for (const row of rows) {
    for (const shingle of shingles(wordsOf(row))) {
      if (!known.has(shingle)) continue;
      throw new TunesmithError('REPLAY_MEASURED', {
        ...row.source,
        message: `holds "${shingle}", which stands in the text on which forgetting is measured.`,
        fix: 'replay other text',
      });
    }
  }
}

function wordsOf(row: Row): string {
  if (row.kind === 'text') return row.text;
  if (row.kind === 'prompt') return `${row.prompt} ${row.completion}`;
  if (row.kind === 'messages') return row.messages.map(({ content }) => content).join(' ');
  return '';
}

function* shingles(text: string): Generator<string> {
  const words = text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
  for (let i = 0; i + WORDS <= words.length; i++) yield words.slice(i, i + WORDS).join(' ');
}
