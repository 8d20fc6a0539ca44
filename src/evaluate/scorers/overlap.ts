/** Words that two texts share, as SQuAD counts them: without case, punctuation and articles (Rajpurkar et al. 2016, arXiv:1606.05250). @returns 0 to 1 */
export function tokenF1(answer: string, reference: string): number {
  const [given, wanted] = [squadTokens(answer), squadTokens(reference)];
  if (given.length === 0 || wanted.length === 0) return given.length === wanted.length ? 1 : 0;
  return harmonic(shared(counted(given), counted(wanted)), given.length, wanted.length);
}

function squadTokens(text: string): string[] {
  const plain = text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, '');
  return wordsOf(plain.replace(/\b(a|an|the)\b/g, ' '));
}

/**
 * ROUGE-L: the F1 of the longest common subsequence of words (Lin 2004, "ROUGE: a package for automatic evaluation of summaries"), unstemmed. As rouge_score,
 * but that letters are those of any script.
 *
 * @returns 0 to 1
 */
export function rougeL(answer: string, reference: string): number {
  const tokens = (text: string) => wordsOf(text.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, ' '));
  const [given, wanted] = [tokens(answer), tokens(reference)];
  if (given.length === 0 || wanted.length === 0) return 0;
  return harmonic(longestCommon(given, wanted), given.length, wanted.length);
}

function longestCommon(a: readonly string[], b: readonly string[]): number {
  let above = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (const [j, other] of b.entries())
      row[j + 1] = word === other ? above[j]! + 1 : Math.max(above[j + 1]!, row[j]!);
    above = row;
  }
  return above[b.length]!;
}

const MOST_WORDS = 4;

/**
 * BLEU of a sentence against all its references (Papineni et al. 2002), with sacrebleu's tokens (13a), exponential smoothing and effective order
 * (Post 2018, arXiv:1804.08771).
 *
 * @returns 0 to 1
 */
export function sentenceBleu(answer: string, references: readonly string[]): number {
  const given = bleuTokens(answer);
  const wanted = references.map(bleuTokens);
  const precisions: number[] = [];
  let smooth = 1;
  let any = false;
  for (let n = 1; n <= MOST_WORDS && given.length >= n; n++) {
    const own = counted(grams(given, n));
    const most = new Map<string, number>();
    for (const reference of wanted) {
      for (const [gram, count] of counted(grams(reference, n))) most.set(gram, Math.max(count, most.get(gram) ?? 0));
    }
    const right = shared(own, most);
    any ||= right > 0;
    if (right === 0) smooth *= 2;
    precisions.push(right === 0 ? 1 / smooth / (given.length - n + 1) : right / (given.length - n + 1));
  }
  if (!any) return 0;
  const brevity = Math.min(
    0,
    1 -
      closest(
        wanted.map(({ length }) => length),
        given.length,
      ) /
        given.length,
  );
  return Math.exp(brevity + precisions.reduce((sum, p) => sum + Math.log(p), 0) / precisions.length);
}

/** Of the references' lengths the nearest, of two as near the shorter. */
function closest(lengths: readonly number[], length: number): number {
  const distance = (other: number) => Math.abs(other - length);
  return [...lengths].sort((a, b) => distance(a) - distance(b) || a - b)[0] ?? 0;
}

function bleuTokens(text: string): string[] {
  const line = text
    .trimEnd()
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  const parted = ` ${line} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ');
  return wordsOf(parted);
}

const MOST_CHARACTERS = 6;
/** How much more recall counts than precision. */
const BETA = 2;

/** chrF2: the F-score of shared runs of up to six characters, white space left out (Popović 2015, "chrF"), as sacrebleu has it. @returns 0 to 1 */
export function chrF(answer: string, reference: string): number {
  const [given, wanted] = [answer, reference].map((text) => [...text.replace(/\s+/gu, '')]) as [string[], string[]];
  let [precision, recall, orders] = [0, 0, 0];
  for (let n = 1; n <= MOST_CHARACTERS; n++) {
    const [own, other] = [given.length - n + 1, wanted.length - n + 1];
    if (own <= 0 || other <= 0) break;
    const right = shared(counted(grams(given, n, '')), counted(grams(wanted, n, '')));
    precision += right / own;
    recall += right / other;
    orders++;
  }
  if (precision + recall === 0) return 0;
  const factor = BETA ** 2;
  return ((1 + factor) * precision * recall) / (factor * precision + recall) / orders;
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== '');
}

function grams(tokens: readonly string[], n: number, glue = ' '): string[] {
  return Array.from({ length: Math.max(0, tokens.length - n + 1) }, (_, i) => tokens.slice(i, i + n).join(glue));
}

function counted(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

function shared(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let n = 0;
  for (const [item, count] of a) n += Math.min(count, b.get(item) ?? 0);
  return n;
}

function harmonic(right: number, given: number, wanted: number): number {
  return right === 0 ? 0 : (2 * right) / (given + wanted);
}
