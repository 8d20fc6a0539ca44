import type { ErrorCode } from '../../../errors/index.ts';
import type { CheckGroup } from '../gathered.ts';
import type { CheckFinding, Placed } from '../types.ts';

type Suspicion = 'mislabelled' | 'contradictory' | 'leaked';

/** What findings of a code speak for, and how much of it one that is certain is worth. */
const EVIDENCE: Readonly<Partial<Record<ErrorCode, readonly [Suspicion, number]>>> = {
  DATA_LABEL_SUSPECT: ['mislabelled', 0.9],
  DATA_LOSS_HIGH: ['mislabelled', 0.7],
  DATA_UNLEARNED: ['mislabelled', 0.8],
  DATA_UNASKED: ['mislabelled', 0.8],
  DATA_FORGOTTEN: ['mislabelled', 0.5],

  DATA_LANGUAGE: ['mislabelled', 0.3],
  DATA_CONFLICT: ['contradictory', 0.8],
  DATA_LEAK: ['leaked', 1],
  DATA_LEAK_NEAR: ['leaked', 0.9],
  DATA_LEAK_WORDS: ['leaked', 0.6],
  DATA_LOSS_LOW: ['leaked', 0.6],
};

/** Of a finding that says no score of its own. */
const UNSCORED = { error: 1, warning: 0.8, review: 0.5, info: 0.2 } as const;
/** Evidence from which a row is told. */
const LEAST = 0.3;

/**
 * The queue of rows that people should look at, most evident first: likely mislabelled, contradictory or leaked. What several checks say of a row
 * adds up as independent evidence does: 1 - (1 - a)(1 - b)...
 */
export function suspects(groups: readonly CheckGroup[]): Placed[] {
  const rows = new Map<string, CheckFinding[]>();
  for (const { code, findings } of groups) {
    if (EVIDENCE[code] === undefined) continue;
    for (const finding of findings) {
      if (finding.line === undefined) continue;
      const key = `${finding.file}:${finding.line}`;
      const known = rows.get(key);
      if (known === undefined) rows.set(key, [finding]);
      else known.push(finding);
    }
  }
  const found = [...rows.values()].map(suspect).filter(({ score = 0 }) => score >= LEAST);
  return found.sort((a, b) => (b.score ?? 0) - (a.score ?? 0));
}

function worth({ code, severity, score }: CheckFinding): number {
  return (EVIDENCE[code]?.[1] ?? 0) * (score ?? UNSCORED[severity]);
}

function suspect(findings: readonly CheckFinding[]): Placed {
  const byWorth = [...findings].sort((a, b) => worth(b) - worth(a));
  const [first] = byWorth;
  const kinds = [...new Set(byWorth.map(({ code }) => EVIDENCE[code]![0]))];
  const score = 1 - byWorth.reduce((left, finding) => left * (1 - worth(finding)), 1);
  const reasons = byWorth.map(({ message }) => message.replace(/\.$/, '')).join('; it ');
  return {
    ...{ code: 'DATA_SUSPECT', severity: 'review', source: { file: first!.file, line: first!.line! } },
    message: `is likely ${kinds.join(' or ')} (${Math.round(100 * score)} of 100): it ${reasons}.`,
    quote: byWorth.find(({ quote }) => quote !== undefined)?.quote,
    related: [...new Set(byWorth.flatMap(({ related }) => related))],
    score,
  };
}
