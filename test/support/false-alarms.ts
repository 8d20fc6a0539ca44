import { type Answered, pooledSkills, verdictsOf } from '../../src/evaluate/compare.ts';
import { fillUniform } from '../../src/math/random.ts';

/** The marks that two models had on the same items of a task: shares, or nats with their tokens. */
export interface RecordedTask {
  readonly name: string;
  readonly kind: 'choice' | 'text' | 'rows';
  readonly role: Answered['role'];
  readonly base: readonly number[];
  readonly tuned: readonly number[];
}

/** As comparisons want them. */
export function answeredOf(recorded: readonly RecordedTask[]): Answered[] {
  const results = (values: readonly number[]) => values.map((value, item) => ({ item, value, weight: 1 }));
  return recorded.map(({ name, kind, role, base, tuned }) => ({
    task: { kind, name },
    role,
    base: results(base),
    tuned: results(tuned),
  }));
}

/** The verdicts on general ability, of all skills together too. */
export function generalVerdicts(answered: readonly Answered[]): string[] {
  const pooled = pooledSkills(answered);
  const all = [...answered, ...(pooled === undefined ? [] : [pooled])];
  const verdicts = verdictsOf(all);
  return all.flatMap(({ role }, i) => (role === 'general' ? [verdicts[i]!.verdict] : []));
}

/** How often "forgot" is said when base and tuned are swapped at random, item by item: then neither of the two is the better one. */
export function falseAlarms(answered: readonly Answered[], swaps: number): number {
  let alarms = 0;
  for (let swap = 0; swap < swaps; swap++) {
    const swapped = answered.map((one, t) => swappedAt(one, swap, t));
    if (generalVerdicts(swapped).includes('lost')) alarms++;
  }
  return alarms;
}

function swappedAt(one: Answered, swap: number, t: number): Answered {
  const drawn = new Float32Array(one.base.length);
  fillUniform(drawn, 0, 1, { seed: swap, purpose: 'swap', a: t });
  const pick = (kept: 'base' | 'tuned', other: 'base' | 'tuned') =>
    one[kept].map((result, i) => (drawn[i]! < 0.5 ? one[other][i]! : result));
  return { ...one, base: pick('base', 'tuned'), tuned: pick('tuned', 'base') };
}
