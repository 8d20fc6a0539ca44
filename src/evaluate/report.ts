import { BUDGET_STYLE, type BudgetShown, budgetSection } from './budget-page.ts';
import { type Comparison, isLoss, type Unit } from './compare.ts';
import { escaped, n } from './html.ts';

/** A curve of a run: a loss by step. */
export interface LossCurve {
  readonly name: string;
  readonly points: readonly { readonly step: number; readonly loss: number }[];
}

/** What a report shows. */
export interface Report {
  readonly title: string;
  /** What was compared with what. */
  readonly about: string;
  /** The outcome in a sentence; empty where nothing was compared. */
  readonly headline: string;
  readonly comparisons: readonly (Comparison & { readonly words: string })[];
  readonly curves: readonly LossCurve[];
  /** Of a run that was held to a budget. */
  readonly budget: BudgetShown | undefined;
  /** Answers of the base and of the tuned model to the same prompts. */
  readonly answers: readonly {
    readonly task: string;
    readonly prompt: string;
    readonly base: string | undefined;
    readonly tuned: string;
  }[];
  /** Sentences beneath the verdicts. */
  readonly notes: readonly string[];
  /** What to do next, in sentences. */
  readonly next: readonly string[];
}

const GROUPS = [
  ['gained', 'Learned'],
  ['lost', 'Forgotten'],
  ['unsure', 'Unsure'],
] as const;

/** A report as one HTML file that loads nothing, light or dark as the reader's system is. */
export function reportHtml(report: Report): string {
  const { title, about, comparisons, curves, budget, answers, notes, next } = report;
  const paragraph = (text: string) => `<p>${escaped(text)}</p>`;
  const section = (shown: boolean, head: string, body: () => string) => (shown ? `<h2>${head}</h2>${body()}` : '');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title>
<style>${STYLE}${budget === undefined ? '' : BUDGET_STYLE}</style></head><body>
<h1>${escaped(title)}</h1>${report.headline === '' ? '' : `<p class="headline">${escaped(report.headline)}</p>`}${paragraph(about)}
${comparisons.length === 0 ? '' : `<section class="verdicts">${GROUPS.map(([verdict, head]) => verdictCard(head, verdict, comparisons)).join('')}</section>`}
${notes.map(paragraph).join('\n')}
${section(next.length > 0, 'What to do next', () => `<ul>${next.map((step) => `<li>${escaped(step)}</li>`).join('')}</ul>`)}
${section(comparisons.length > 0, 'Each skill, with 95 % intervals', () => (['accuracy', 'score', 'preference', 'loss', 'bits'] as const).map((unit) => bars(comparisons, unit)).join(''))}
${budget === undefined ? '' : budgetSection(budget)}
${section(
  curves.some(({ points }) => points.length > 1),
  'Loss by step, nats per token',
  () => curvesSvg(curves),
)}
${section(answers.length > 0, 'Answers side by side', () => answersTable(answers))}
${section(comparisons.length > 0, 'In figures', () => figuresTable(comparisons))}
</body></html>
`;
}

function verdictCard(head: string, verdict: string, comparisons: Report['comparisons']): string {
  const own = comparisons.filter((one) => one.verdict === verdict);
  const items = own.length === 0 ? '<li>nothing</li>' : own.map(({ words }) => `<li>${escaped(words)}</li>`).join('');
  return `<article class="${verdict}"><h2>${head}</h2><ul>${items}</ul></article>`;
}

const WIDTH = 720;
const LEFT = 170;
const ROW = 26;

/** A bar for each task, from no change to its gain, and its interval as a line. */
function bars(all: Report['comparisons'], unit: Comparison['unit']): string {
  const own = all.filter((one) => one.unit === unit);
  if (own.length === 0) return '';
  const scale = isLoss(unit) ? 1 : 100;
  const most = Math.max(1e-9, ...own.flatMap(({ gain }) => [Math.abs(gain.low), Math.abs(gain.high)]));
  const middle = (WIDTH + LEFT) / 2;
  const x = (value: number) => middle + (value / most) * ((WIDTH - LEFT) / 2 - 12);
  const rows = own.map(({ task, gain, verdict }, i) => {
    const y = i * ROW + 14;
    const [from, to] = [Math.min(x(0), x(gain.estimate)), Math.max(x(0), x(gain.estimate))];
    const said = `${task}: ${(scale * gain.estimate).toFixed(3)} (${(scale * gain.low).toFixed(3)} to ${(scale * gain.high).toFixed(3)})`;
    return `<g><title>${escaped(said)}</title><text x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${escaped(task)}</text>
<rect class="${verdict}" x="${n(from)}" y="${y - 8}" width="${n(to - from)}" height="16"/><line x1="${n(x(gain.low))}" x2="${n(x(gain.high))}" y1="${y}" y2="${y}"/></g>`;
  });
  const height = own.length * ROW + 24;
  const label = LABELS[unit];
  const end = (scale * most).toFixed(isLoss(unit) ? 3 : 1);
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="gains in ${label}">${rows.join('')}
<line class="axis" x1="${n(x(0))}" x2="${n(x(0))}" y1="0" y2="${height - 20}"/><text x="${LEFT}" y="${height - 4}">worse by ${end}</text>
<text x="${WIDTH - 4}" y="${height - 4}" text-anchor="end">better by ${end} ${label}</text></svg>`;
}

function curvesSvg(curves: readonly LossCurve[]): string {
  const shown = curves.filter(({ points }) => points.length > 1);
  const points = shown.flatMap((curve) => curve.points);
  const [low, high] = extent(points.map(({ loss }) => loss));
  const [first, last] = extent(points.map(({ step }) => step));
  const x = (step: number) => 50 + ((step - first) / Math.max(1, last - first)) * (WIDTH - 60);
  const y = (loss: number) => 190 - ((loss - low) / Math.max(1e-9, high - low)) * 180;
  const lines = shown.map(({ points: own }, i) => {
    const path = own.map(({ step, loss }) => `${n(x(step))},${n(y(loss))}`).join(' ');
    return `<polyline class="curve c${i % 2}" points="${path}"/>`;
  });
  const names = shown.map(
    ({ name }, i) =>
      `<text class="c${i % 2}" x="${WIDTH - 10}" y="${16 + 16 * i}" text-anchor="end">${escaped(name)}</text>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} 210" role="img" aria-label="loss by step">${lines.join('')}${names.join('')}
<text x="44" y="14" text-anchor="end">${high.toFixed(2)}</text><text x="44" y="192" text-anchor="end">${low.toFixed(2)}</text>
<text x="50" y="206">step ${first}</text><text x="${WIDTH - 10}" y="206" text-anchor="end">step ${last}</text></svg>`;
}

function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

function answersTable(answers: Report['answers']): string {
  const row = ({ task, prompt, base, tuned }: Report['answers'][number]) =>
    `<tr><td>${escaped(task)}</td><td>${escaped(prompt)}</td><td>${escaped(base ?? '-')}</td><td>${escaped(tuned)}</td></tr>`;
  return `<table><thead><tr><th>task</th><th>asked</th><th>base</th><th>tuned</th></tr></thead><tbody>${answers.map(row).join('')}</tbody></table>`;
}

/** Shares and nats as they were measured. */
function figuresTable(comparisons: Report['comparisons']): string {
  const heads = ['task', 'items', 'unit', 'base', 'tuned', 'gain', '95 % interval', 'p', 'p, corrected'];
  const rows = comparisons.map(({ task, items, unit, base, tuned, gain, p, correctedP }) => {
    const interval = `${gain.low.toFixed(4)} to ${gain.high.toFixed(4)}`;
    const figures = [base, tuned, gain.estimate].map((x) => x.toFixed(4));
    const cells = [task, String(items), UNITS[unit], ...figures, interval, p.toPrecision(2), correctedP.toPrecision(2)];
    return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  return `<table><thead><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

const LABELS = {
  accuracy: 'points of accuracy',
  score: 'points of 100',
  preference: 'points of preference',
  loss: 'nats per token',
  bits: 'bits per byte',
} as const satisfies Record<Unit, string>;

const UNITS = {
  accuracy: 'share right',
  score: 'marks, 0 to 1',
  preference: 'share preferred',
  loss: 'nats per token',
  bits: 'bits per byte',
} as const satisfies Record<Unit, string>;

const STYLE = `:root{color-scheme:light dark;--good:light-dark(#1a7f37,#3fb950);--bad:light-dark(#b3261e,#ff7b72);--unsure:light-dark(#6e7781,#8b949e);--line:light-dark(#d0d7de,#30363d);--other:light-dark(#0969da,#58a6ff)}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;background:light-dark(#fff,#0d1117);color:light-dark(#1f2328,#e6edf3)}
.headline{font-size:1.25rem}.verdicts{display:grid;grid-template-columns:repeat(auto-fit,minmax(16rem,1fr));gap:1rem}article{border:1px solid var(--line);border-top:4px solid var(--unsure);border-radius:6px;padding:0 1rem}
article.gained{border-top-color:var(--good)}article.lost{border-top-color:var(--bad)}ul{padding-left:1.1rem}svg{width:100%;height:auto;margin:.5rem 0}
svg text{font-size:13px;fill:currentColor}svg line{stroke:currentColor;stroke-width:2}svg line.axis{stroke:var(--line)}rect{fill:var(--unsure)}rect.gained{fill:var(--good)}rect.lost{fill:var(--bad)}
.curve{fill:none;stroke-width:1.5}.curve.c0{stroke:var(--unsure)}.curve.c1{stroke:var(--other)}text.c0{fill:var(--unsure)}text.c1{fill:var(--other)}
table{border-collapse:collapse;width:100%}td,th{border:1px solid var(--line);padding:.4rem;text-align:left;vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere}`;
