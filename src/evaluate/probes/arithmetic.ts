import { type ChoiceItem, placed } from './item.ts';

/** Small sums, products, sequences, comparisons and word problems, four choices each (comparisons: two). */
export function arithmeticItems(): ChoiceItem[] {
  return [...sums(), ...differences(), ...products(), ...sequences(), ...comparisons(), ...stories()];
}

/** The wrong choices lie around the right one. */
function near(context: string, right: number, number: number): ChoiceItem {
  const offsets = [
    [1, 2, -1],
    [-1, 3, 1],
    [2, -2, 1],
    [1, -3, 4],
  ][number % 4]!;
  const wrong = offsets.map((offset) => (right + offset < 0 ? right - offset : right + offset));
  const fresh = wrong.map((w, i) => (wrong.indexOf(w) === i && w !== right ? w : right + 5 + i));
  return placed(
    context,
    ` ${right}`,
    fresh.map((w) => ` ${w}`),
    number,
  );
}

function sums(): ChoiceItem[] {
  return Array.from({ length: 64 }, (_, i) => {
    const [a, b] = [1 + (i % 8), 1 + Math.floor(i / 8)];
    return near(`10 + 1 = 11\n9 + 3 = 12\n${a} + ${b} =`, a + b, i);
  });
}

function differences(): ChoiceItem[] {
  return Array.from({ length: 36 }, (_, i) => {
    const [b, rest] = [1 + (i % 6), Math.floor(i / 6)];
    return near(`12 - 2 = 10\n15 - 7 = 8\n${b + rest} - ${b} =`, rest, i);
  });
}

function products(): ChoiceItem[] {
  return Array.from({ length: 36 }, (_, i) => {
    const [a, b] = [2 + (i % 6), 2 + Math.floor(i / 6)];
    return near(`1 x 3 = 3\n10 x 4 = 40\n${a} x ${b} =`, a * b, i);
  });
}

function sequences(): ChoiceItem[] {
  return Array.from({ length: 48 }, (_, i) => {
    const [start, step] = [1 + (i % 8), [1, 2, 5, 10, -1, 3][Math.floor(i / 8)]!];
    const from = step < 0 ? start + 10 : start;
    const terms = Array.from({ length: 4 }, (_, k) => from + k * step);
    return near(`${terms.join(', ')},`, from + 4 * step, i);
  });
}

const WORDS = 'one two three four five six seven eight nine ten eleven twelve'.split(' ');

function comparisons(): ChoiceItem[] {
  return Array.from({ length: 30 }, (_, i) => {
    const a = i % 6;
    const b = a + 2 + Math.floor(i / 6);
    const [first, second] = i % 2 === 0 ? [a, b] : [b, a];
    const isMore = i % 4 < 2;
    const question = `Of the numbers ${WORDS[first]} and ${WORDS[second]}, the ${isMore ? 'larger' : 'smaller'} one is`;
    const [right, wrong] = isMore ? [b, a] : [a, b];
    return placed(question, ` ${WORDS[right]}`, [` ${WORDS[wrong]}`], i);
  });
}

function stories(): ChoiceItem[] {
  const things = ['apples', 'coins', 'books', 'eggs', 'stamps'];
  return Array.from({ length: 30 }, (_, i) => {
    const [a, b] = [1 + (i % 5), 1 + Math.floor(i / 5)];
    const thing = things[(i + Math.floor(i / 5)) % things.length]!;
    const plural = (n: number) => (n === 1 ? thing.slice(0, -1) : thing);
    const context = `Ben has ${WORDS[a - 1]} ${plural(a)}. He gets ${WORDS[b - 1]} more. Now he has`;
    const wrong = [1, -1, 2].map((offset) => (a + b + offset < 1 ? a + b + 3 : a + b + offset));
    return placed(
      context,
      ` ${WORDS[a + b - 1]}`,
      wrong.map((w) => ` ${WORDS[w - 1] ?? 'twenty'}`),
      i,
    );
  });
}
