import { TOKEN_KINDS, type TokenKind, type XrayExample, type XrayToken } from '../evaluate/xray.ts';
import { LEGEND } from './xray-text.ts';

/** Rows as a page that needs nothing else. A token shows its id and its weight when it is pointed at. */
export function xrayPage(examples: readonly XrayExample[], model: string): string {
  const kinds = TOKEN_KINDS.filter((kind) => examples.some(({ counts }) => counts[kind] > 0));
  const legend = kinds.map(
    (kind) =>
      `<li><span class="${kind}">${kind}</span> ${escaped(LEGEND[kind].replace(new RegExp(`^${kind}:? `), ''))}</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>What ${escaped(model)} sees</title>
<style>
:root{color-scheme:light dark;--text:#1f2328;--page:#fff;--line:#d1d9e0;--trained:#b7ecc3;--template:#cfe2ff;--special:#ecd2ff;--lost:#ffd7d5;--pad:#e6e8eb}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--page:#0d1117;--line:#30363d;--trained:#14572a;--template:#153a6b;--special:#4b2470;--lost:#6b1d1a;--pad:#2a2f36}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:var(--text);background:var(--page)}
ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.5rem}pre{font:14px/1.7 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);border-radius:6px;padding:1rem}
h2{font-size:1rem;margin:2rem 0 .3rem}span{border-radius:3px}pre span:hover{outline:1px solid currentColor}
.trained{background:var(--trained)}.template{background:var(--template)}.special{background:var(--special)}.truncated{background:var(--lost);text-decoration:line-through}.padding{background:var(--pad)}
</style></head><body>
<h1>What ${escaped(model)} sees</h1>
<ul>${legend.join('')}</ul>
${examples.map(section).join('\n')}
</body></html>
`;
}

function section({ source, example, of, tokens, counts, note }: XrayExample): string {
  const parts = TOKEN_KINDS.filter((kind) => counts[kind] > 0).map((kind: TokenKind) => `${counts[kind]} ${kind}`);
  const place = `${source.file}:${source.line}${of > 1 ? `, example ${example} of ${of}` : ''}`;
  const told = note === undefined ? '' : `<p>${escaped(note)}</p>`;
  return `<h2>${escaped(place)}</h2><p>${tokens.length} tokens: ${parts.join(', ')}</p>${told}<pre>${tokens.map(tokenSpan).join('')}</pre>`;
}

function tokenSpan({ id, text, kind, weight, special }: XrayToken): string {
  if (kind === 'padding') return '<span class="padding" title="padding">·</span>';
  const title = `id ${id}, weight ${weight}, ${kind}${special && kind !== 'special' ? ', special' : ''}`;
  return `<span class="${kind}" title="${title}">${escaped(text)}</span>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
