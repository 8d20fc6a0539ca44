import { expect, it } from 'vitest';
import { CATALOGUE, type CatalogueEntry } from '../src/errors/index.ts';

const EXIT = { 1: 'failed', 2: 'wrong usage or input', 3: 'a gate said no' } as const;

/** docs/errors.md, made from the catalogue. `npm run docs` writes it anew. */
function errorsPage(): string {
  const lines = [
    '# Error codes',
    '',
    'Made from `src/errors/catalogue.ts` by `npm run docs`. A message reads `CODE file:line what is wrong. Fix: what mends it`.',
    'With `--json` it is one line: `{"type":"error","code","message","file","line","fix"}`.',
  ];
  let area = '';
  for (const [code, entry] of Object.entries<CatalogueEntry>(CATALOGUE)) {
    const of = code.slice(0, code.indexOf('_'));
    if (of !== area) lines.push('', `## ${of}`, '', '| code | rule | fix | exit |', '|---|---|---|---|');
    area = of;
    const cell = (text: string) => text.replaceAll('|', '\\|');
    lines.push(`| \`${code}\` | ${cell(entry.rule)} | ${cell(entry.fix ?? '')} | ${entry.exit} ${EXIT[entry.exit]} |`);
  }
  return `${lines.join('\n')}\n`;
}

it('docs/errors.md lists every code of the catalogue', async () => {
  await expect(errorsPage()).toMatchFileSnapshot('../docs/errors.md');
});
