import type { CheckGroup } from './gathered.ts';
import type { CheckReport } from './run.ts';

const COLOURS = { error: '#b3261e', warning: '#9a6700', review: '#1f6feb', info: '#57606a' } as const;

/** The report as one page that needs nothing else. */
export function checkPage(report: CheckReport, title: string): string {
  const { groups } = report;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(title)}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1f2328;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.25rem .6rem;text-align:left;border-bottom:1px solid #d1d9e0;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}code,q{font:13px ui-monospace,monospace}q{background:#f6f8fa;padding:0 .3em}
h2{margin-top:2rem}.charts{display:flex;flex-wrap:wrap;gap:2rem}.charts>div{flex:1 1 20rem}summary{cursor:pointer;font-weight:600}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th{border-color:#30363d}q{background:#161b22}}
</style></head><body>
<h1>${escaped(title)}</h1>
<p>${report.rows.toLocaleString('en-US')} rows in ${report.files.length} ${report.files.length === 1 ? 'file' : 'files'}: ${report.files.map(({ path, rows, shape }) => `<code>${escaped(path)}</code> (${rows.toLocaleString('en-US')}${shape === undefined ? '' : `, ${escaped(shape)}`})`).join(', ')}</p>
<div class="charts">${lengthChart(report.lengths)}${labelChart(report.labels)}${duplicateChart(report)}</div>
<h2>Findings</h2>
${groups.length === 0 ? '<p>Nothing was found.</p>' : summary(groups)}
${groups.map(section).join('\n')}
</body></html>
`;
}

function summary(groups: readonly CheckGroup[]): string {
  const rows = groups.map(
    ({ code, severity, count, rule }) =>
      `<tr><td style="color:${COLOURS[severity]}">${severity}</td><td><a href="#${code}-${severity}"><code>${code}</code></a></td><td class="n">${count.toLocaleString('en-US')}</td><td>${escaped(rule)}</td></tr>`,
  );
  return `<table><tr><th>Severity</th><th>Code</th><th>Rows</th><th>Rule</th></tr>${rows.join('')}</table>`;
}

/** Findings of a code on the page; the rest is in --json. */
const SHOWN = 100;

function section({ code, severity, count, findings, fix }: CheckGroup): string {
  const rows = findings.slice(0, SHOWN).map(({ file, line, message, quote }) => {
    const place = line === undefined ? file : `${file}:${line}`;
    return `<tr><td><code>${escaped(place)}</code></td><td>${escaped(message)}${quote === undefined ? '' : `<br><q>${escaped(quote)}</q>`}</td></tr>`;
  });
  const more =
    count > rows.length ? `<p>and ${(count - rows.length).toLocaleString('en-US')} more, which --json lists.</p>` : '';
  return `<details id="${code}-${severity}"${severity === 'error' ? ' open' : ''}><summary style="color:${COLOURS[severity]}">${code} (${severity}, ${count.toLocaleString('en-US')})</summary>${fix === undefined ? '' : `<p>Fix: <code>${escaped(fix)}</code></p>`}<table>${rows.join('')}</table>${more}</details>`;
}

interface Bar {
  readonly name: string;
  readonly value: number;
}

function chart(title: string, bars: readonly Bar[]): string {
  if (bars.length === 0) return '';
  const most = Math.max(1, ...bars.map((bar) => bar.value));
  const lines = bars.map(({ name, value }, i) => {
    const y = i * 22;
    const width = Math.round((220 * value) / most);
    return `<text x="150" y="${y + 15}" text-anchor="end" font-size="12" fill="currentColor">${escaped(name.slice(0, 22))}</text><rect x="158" y="${y + 3}" width="${width}" height="15" fill="#1f6feb"/><text x="${164 + width}" y="${y + 15}" font-size="12" fill="currentColor">${value.toLocaleString('en-US')}</text>`;
  });
  return `<div><h2>${escaped(title)}</h2><svg role="img" aria-label="${escaped(title)}" viewBox="0 0 440 ${bars.length * 22}" width="100%">${lines.join('')}</svg></div>`;
}

function lengthChart(lengths: readonly number[]): string {
  const bars = lengths.map((value, i) => ({ name: `up to ${(2 ** i).toLocaleString('en-US')}`, value }));
  const first = bars.findIndex((bar) => bar.value > 0);
  return chart('Rows by characters of their answers', first < 0 ? [] : bars.slice(first));
}

/** Labels on the chart. */
const LABELS = 15;

function labelChart(labels: ReadonlyMap<string, number>): string {
  const sorted = [...labels].sort((a, b) => b[1] - a[1]);
  const bars = sorted.slice(0, LABELS).map(([name, value]) => ({ name, value }));
  return chart(
    sorted.length > LABELS ? `The ${LABELS} most frequent of ${sorted.length} labels` : 'Rows by label',
    bars,
  );
}

function duplicateChart({ rows, groups }: CheckReport): string {
  const count = (code: string) => groups.filter((g) => g.code === code).reduce((sum, g) => sum + g.count, 0);
  const [exact, near] = [count('DATA_DUPLICATE'), count('DATA_NEAR_DUPLICATE')];
  const bars = [
    { name: 'only once', value: Math.max(0, rows - exact - near) },
    { name: 'near-duplicates', value: near },
    { name: 'exact copies', value: exact },
  ];
  return rows === 0 ? '' : chart('Duplicates', bars);
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
