import { type ActEvent, actText, budgetText, chosenTexts, type Forgetting, isSame, pointRows } from './budget-words.ts';
import { escaped, n } from './html.ts';

/** What a report shows of a budget of forgetting: the curve, the point that was chosen, and what the trainer did on the way. */
export interface BudgetShown {
  readonly found: Forgetting;
  readonly acts: readonly ActEvent[];
}

/** The part of a report that is about a budget. */
export function budgetSection({ found, acts }: BudgetShown): string {
  const said = acts.map((act) => `<li>${escaped(actText(act))}</li>`).join('');
  const done = acts.length === 0 ? '<p>It was never threatened: the trainer did nothing.</p>' : `<ul>${said}</ul>`;
  return `<h2>Learning against forgetting</h2><p>The budget: ${escaped(budgetText(found))}. ${escaped(chosenTexts(found).join(' '))}</p>
${chart(found)}
<p class="key"><svg class="mark" viewBox="0 0 12 12" aria-hidden="true"><circle class="whole" cx="6" cy="6" r="5"/></svg> a checkpoint
<svg class="mark" viewBox="0 0 12 12" aria-hidden="true"><circle class="part" cx="6" cy="6" r="4.5"/></svg> a checkpoint at a lower strength
<svg class="mark" viewBox="0 0 12 12" aria-hidden="true"><circle class="chosen" cx="6" cy="6" r="5"/></svg> best/</p>
<h3>What the trainer did</h3>${done}
${figures(found)}`;
}

const [WIDTH, HEIGHT] = [720, 300];
const [LEFT, RIGHT, TOP, BOTTOM] = [60, WIDTH - 20, 24, HEIGHT - 44];

/** Points by the share of the budget (to the right) and the validation loss (upwards); those of one checkpoint are joined by their strength. */
function chart(found: Forgetting): string {
  const { points, chosen } = found;
  const shares = [0, 1.1, ...points.map(({ used }) => used)];
  const losses = points.map(({ loss }) => loss);
  const [from, to] = [Math.min(...shares), Math.max(...shares)];
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const x = (used: number) => LEFT + ((used - from) / (to - from)) * (RIGHT - LEFT);
  const y = (loss: number) => BOTTOM - ((loss - low) / Math.max(1e-9, high - low)) * (BOTTOM - TOP);
  const lines = [...new Set(points.map(({ step }) => step))].map((step) => {
    const own = points.filter((one) => one.step === step).sort((a, b) => a.strength - b.strength);
    return `<polyline class="way" points="${own.map((one) => `${n(x(one.used))},${n(y(one.loss))}`).join(' ')}"/>`;
  });
  const marks = [...points]
    .sort((a, b) => Number(isSame(a, chosen)) - Number(isSame(b, chosen)))
    .map((point) => {
      const kind = isSame(point, chosen) ? 'chosen' : point.strength === 1 ? 'whole' : 'part';
      const said = `step ${point.step} at strength ${point.strength}: validation loss ${point.loss.toFixed(4)}, ${Math.round(100 * point.used)} % of the budget`;
      return `<circle class="${kind}" cx="${n(x(point.used))}" cy="${n(y(point.loss))}" r="${kind === 'chosen' ? 7 : 5}"><title>${escaped(said)}</title></circle>`;
    });
  const isLate = x(1) > (LEFT + RIGHT) / 2;
  const limit = `<rect class="over" x="${n(x(1))}" y="${TOP - 14}" width="${n(RIGHT - x(1))}" height="${BOTTOM - TOP + 14}"/><line class="limit" x1="${n(x(1))}" x2="${n(x(1))}" y1="${TOP - 14}" y2="${BOTTOM}"/>
<text x="${n(x(1) + (isLate ? -6 : 6))}" y="${TOP - 4}" text-anchor="${isLate ? 'end' : 'start'}">the budget</text>`;
  const axes = `<line class="axis" x1="${LEFT}" x2="${RIGHT}" y1="${BOTTOM + 8}" y2="${BOTTOM + 8}"/>
<text x="${LEFT - 8}" y="${n(y(high) + 4)}" text-anchor="end">${high.toFixed(3)}</text><text x="${LEFT - 8}" y="${n(y(low) + 4)}" text-anchor="end">${low.toFixed(3)}</text>
<text x="${n(x(0))}" y="${BOTTOM + 24}" text-anchor="middle">0 %</text><text x="${RIGHT}" y="${BOTTOM + 24}" text-anchor="end">${Math.round(100 * to)} %</text>
<text x="${(LEFT + RIGHT) / 2}" y="${HEIGHT - 4}" text-anchor="middle">share of the budget that is used; upwards the validation loss in nats per token</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="validation loss by share of the forgetting budget">${limit}${axes}${lines.join('')}${marks.join('')}</svg>`;
}

function figures(found: Forgetting): string {
  const { heads, rows } = pointRows(found);
  const line = (cells: readonly string[], tag: 'th' | 'td') =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<details><summary>All ${rows.length} points</summary><table><thead>${line(heads, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('')}</tbody></table></details>`;
}

/** Beside the style of the report. */
export const BUDGET_STYLE = `h3{margin:.5rem 0 0}circle.whole{fill:var(--other)}circle.part{fill:none;stroke:var(--other);stroke-width:1.5}circle.chosen{fill:var(--good);stroke:currentColor;stroke-width:1.5}
.way{fill:none;stroke:var(--other);stroke-width:1;opacity:.5}rect.over{fill:var(--bad);opacity:.08}svg line.limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:5 4}
svg.mark{width:.75rem;height:.75rem;margin:0 .2rem 0 .8rem;vertical-align:baseline}.key{font-size:.85rem}`;
