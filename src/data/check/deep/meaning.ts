// Shape legend: R rows, D width of a vector
import type { RowSource } from '../../row.ts';
import { wordsOf } from '../../similar.ts';
import { placeIn, relatedTo } from '../duplicate-checks.ts';
import { type Placed, quoteStart } from '../types.ts';

/** A row as vectors: what is asked, and what is answered. */
export interface MeantRow {
  readonly source: RowSource;
  /** Undefined where nothing is asked. */
  readonly asked: Float32Array | undefined;
  readonly said: Float32Array;
  /** Texts, to leave out what words tell already. */
  readonly prompt: string;
  readonly answer: string;
}

/** Cosines of centred vectors: the same in other words, and something else altogether. */
const ALIKE = 0.9;
const UNLIKE = 0.3;
/** Share of words that two answers may have in common and still contradict each other. */
const FEW = 0.25;

/**
 * Rows that mean the same as another in other words, that answer a question otherwise than a row which asks the same, and that mean what a row
 * to test with means. All pairs are compared: that costs less than the pass through the model that made the vectors.
 *
 * @param heldOut rows to test with
 */
export function* meaningFindings(rows: readonly MeantRow[], heldOut: readonly MeantRow[]): Iterable<Placed> {
  const all = [...rows, ...heldOut];
  const said = centred(all.map((row) => row.said));
  const asked = centred(all.map((row) => row.asked ?? new Float32Array(0)));
  const words = all.map(({ prompt, answer }) => ({
    numbers: numbersIn(prompt || answer),
    said: new Set(wordsOf(answer)),
  }));
  for (const [i, row] of rows.entries()) {
    let twin = { other: -1, similarity: 0 };
    let rival = twin;
    for (let j = 0; j < all.length; j++) {
      if (j === i || words[i]!.numbers !== words[j]!.numbers) continue;
      const question = dot((row.asked === undefined ? said : asked)[i]!, (row.asked === undefined ? said : asked)[j]!);
      if (question < ALIKE) continue;
      const answer = dot(said[i]!, said[j]!);
      const isNew = j < i || j >= rows.length;
      if (answer >= ALIKE && isNew && answer > twin.similarity)
        twin = { other: j, similarity: Math.min(question, answer) };
      const contradicts =
        row.asked !== undefined && j < rows.length && answer < UNLIKE && shared(words[i]!.said, words[j]!.said) < FEW;
      if (contradicts && question > rival.similarity) rival = { other: j, similarity: question };
    }
    if (twin.other >= 0) yield twinFinding(row, all[twin.other]!, twin.similarity, twin.other >= rows.length);
    if (rival.other >= 0) yield rivalFinding(row, rows[rival.other]!, rival.similarity);
  }
}

/** What differs in numbers only is about different things, however alike it means. */
function numbersIn(text: string): string {
  return (text.match(/\p{N}+/gu) ?? []).sort().join(' ');
}

/** Share of the words of two texts that both have. */
function shared(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let same = 0;
  for (const word of a) if (b.has(word)) same++;
  return same / Math.max(1, a.size + b.size - same);
}

function twinFinding(
  { source, answer, prompt }: MeantRow,
  other: MeantRow,
  similarity: number,
  isHeldOut: boolean,
): Placed {
  const percent = Math.round(100 * similarity);
  const found = {
    source,
    quote: quoteStart(prompt || answer),
    score: similarity,
    severity: 'review',
    related: relatedTo(other.source, source),
  } as const;
  if (isHeldOut)
    return {
      ...found,
      code: 'DATA_LEAK_NEAR',
      message: `means to ${percent} % what ${placeIn(other.source, source)} means, which is held out.`,
    };
  return {
    ...found,
    code: 'DATA_NEAR_DUPLICATE',
    message: `means to ${percent} % the same as ${placeIn(other.source, source)} ("${brief(other.prompt || other.answer)}").`,
  };
}

function rivalFinding({ source, prompt, answer }: MeantRow, other: MeantRow, similarity: number): Placed {
  const message = `asks to ${Math.round(100 * similarity)} % what ${placeIn(other.source, source)} asks, and answers "${brief(answer)}" where that has "${brief(other.answer)}".`;
  return {
    code: 'DATA_CONFLICT',
    severity: 'review',
    source,
    message,
    quote: quoteStart(prompt),
    score: similarity - 0.4,
    related: relatedTo(other.source, source),
  };
}

const brief = (text: string) => quoteStart(text).slice(0, 40);

/**
 * Vectors of length 1 around their mean. What all states of a model have in common is most of them, and says nothing (Ethayarajh 2019,
 * arXiv:1909.00512). Empty vectors stay.
 */
function centred(vectors: readonly Float32Array[]): Float32Array[] {
  const real = vectors.filter(({ length }) => length > 0);
  const mean = new Float64Array(real[0]?.length ?? 0);
  for (const vector of real) for (let d = 0; d < mean.length; d++) mean[d]! += vector[d]! / real.length;
  return vectors.map((vector) => {
    const own = vector.map((value, d) => value - mean[d]!);
    const length = Math.sqrt(dot(own, own));
    return length === 0 ? own : own.map((value) => value / length);
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  const width = Math.min(a.length, b.length);
  for (let d = 0; d < width; d++) sum += a[d]! * b[d]!;
  return sum;
}
