import type { CheckGroup } from './gathered.ts';
import type { CheckReport } from './run.ts';

/** The report as one page that needs nothing else. */
export function checkPage(report: CheckReport, title: string): string {
  const { groups } = report;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(title)}</title>
<style>
:root{color-scheme:light dark;--text:#1f2328;--page:#fff;--line:#d1d9e0;--quote:#f6f8fa;--bar:#1f6feb;--error:#b3261e;--warning:#8a5a00;--review:#1a5fcc;--info:#57606a}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--page:#0d1117;--line:#30363d;--quote:#161b22;--bar:#4493f8;--error:#ff8a80;--warning:#e3b341;--review:#79b8ff;--info:#9da7b3}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:var(--text);background:var(--page);overflow-wrap:break-word}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;min-width:34rem}td,th{padding:.25rem .6rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.w{white-space:nowrap}code,q{font:13px ui-monospace,monospace}q{background:var(--quote);padding:0 .3em}a{color:inherit}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:0 2rem}details{margin:.6rem 0}summary{cursor:pointer;font-weight:600}
.error{color:var(--error)}.warning{color:var(--warning)}.review{color:var(--review)}.info{color:var(--info)}
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
      `<tr><td class="w ${severity}">${severity}</td><td class="w"><a href="#${code}-${severity}"><code>${code}</code></a></td><td class="n">${count.toLocaleString('en-US')}</td><td>${escaped(rule)}</td></tr>`,
  );
  return `<div class="wide"><table><tr><th>Severity</th><th>Code</th><th class="n">Rows</th><th>Rule</th></tr>${rows.join('')}</table></div>`;
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
  return `<details id="${code}-${severity}"${severity === 'error' ? ' open' : ''}><summary class="${severity}">${code} (${severity}, ${count.toLocaleString('en-US')})</summary>${fix === undefined ? '' : `<p>Fix: <code>${escaped(fix)}</code></p>`}<div class="wide"><table>${rows.join('')}</table></div>${more}</details>`;
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
    return `<text x="150" y="${y + 15}" text-anchor="end" font-size="12" fill="currentColor">${escaped(name.slice(0, 22))}</text><rect x="158" y="${y + 3}" width="${width}" height="15" fill="var(--bar)"/><text x="${164 + width}" y="${y + 15}" font-size="12" fill="currentColor">${value.toLocaleString('en-US')}</text>`;
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
