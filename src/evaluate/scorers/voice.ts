import { predict, textFeatures, trainLinear } from '../../data/check/classifier.ts';
import { permutation } from '../../math/random.ts';

const FOLDS = 5;
const DIM = 2 ** 16;
/** Items below which a classifier learns nothing worth asking it. */
export const FEWEST_VOICES = 20;

/**
 * How well answers pass for texts of a brand: a small classifier learns to tell them from the brand's texts for the same prompts, on four fifths of the
 * items, and says of the others how likely each answer is a text of the brand. 0.5 is that it cannot tell, 0 that it always can. Length says nothing:
 * the longer of answer and text is cut to the words of the shorter. The same texts give the same marks.
 *
 * @param answers of a model
 * @param texts of the brand, one for each answer
 * @returns a mark for each answer, from 0 to 1
 */
export function voiceMarks(answers: readonly string[], texts: readonly string[]): number[] {
  const pairs = answers.map((answer, i) => cutAlike(answer, texts[i]!));
  const features = pairs.flatMap((pair) => pair.map((text) => textFeatures(text, DIM)));
  // Each item has two rows: what the model said, and what the brand says.
  const labels = Int32Array.from(features, (_, row) => row % 2);
  const fold = permutation(0, 'voice', 0, pairs.length).map((place) => place % FOLDS);
  const marks = new Array<number>(pairs.length);
  const p = new Float64Array(2);
  for (let held = 0; held < FOLDS; held++) {
    const order = features.flatMap((_, row) => (fold[row >> 1] === held ? [] : [row]));
    const model = trainLinear(features, labels, { dim: DIM, classes: 2, epochs: 8, rate: 0.5, order });
    for (let i = 0; i < pairs.length; i++) {
      if (fold[i] !== held) continue;
      predict(model, features[2 * i]!, p);
      marks[i] = p[1]!;
    }
  }
  return marks;
}

function cutAlike(a: string, b: string): [string, string] {
  const [one, other] = [a, b].map((text) => text.trim().split(/\s+/u)) as [string[], string[]];
  const words = Math.min(one.length, other.length);
  return [styled(one.slice(0, words).join(' ')), styled(other.slice(0, words).join(' '))];
}

/** Marks and capitals as words, which the features would pass over. */
function styled(text: string): string {
  const found = new Set(text.match(/[^\p{L}\p{N}\s]/gu) ?? []);
  const marks = [...found].map((mark) => `mark${mark.codePointAt(0)}`);
  const capital = /^\p{Lu}/u.test(text) ? 'capitalfirst' : 'smallfirst';
  const contracted = /\p{L}['’]\p{L}/u.test(text) ? ['contracted'] : [];
  return [text, ...marks, capital, ...contracted].join(' ');
}
