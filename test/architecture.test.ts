import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CATALOGUE } from '../src/errors/index.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A file imports from its own folder or from folders further left. */
const ORDER =
  'errors tensor math io graph engine text data model generate train align evaluate ground export registry serve cli server'.split(
    ' ',
  );
/** Where files, sockets, processes and the environment may be touched. */
const SHELLS = ['src/io/', 'src/cli/', 'src/server/', 'src/engine/ort/'];

interface Source {
  /** With forward slashes, from the root. */
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
  /** Those that are still there when types are erased. */
  readonly values: readonly string[];
}

const isTest = (file: string) => file.endsWith('.test.ts');

/** The text without comments, so that an example in a comment is no import. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

function importsOf(text: string): { readonly spec: string; readonly type: boolean }[] {
  const found = code(text).matchAll(
    /(?:^|\n)\s*(?:import|export)\s(type\s)?[^'"`;]*?\sfrom\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g,
  );
  return [...found].map((m) => ({ spec: m[2] ?? m[3] ?? m[4] ?? '', type: m[1] !== undefined }));
}

const SOURCES: readonly Source[] = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => {
    const file = `src/${name.replaceAll(path.sep, '/')}`;
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    const found = importsOf(text);
    return {
      file,
      text,
      imports: found.map((i) => i.spec),
      values: found.filter((i) => !i.type).map((i) => i.spec),
    };
  });

const folderOf = (file: string) => file.split('/')[1] ?? '';
const targetOf = (file: string, spec: string) => path.posix.join(path.posix.dirname(file), spec);
const local = (source: Source) => source.imports.filter((spec) => spec.startsWith('.'));

/** All violations of one rule, so that one failure shows every place. */
function offenders(rule: (source: Source) => readonly string[]): string[] {
  return SOURCES.filter((source) => !isTest(source.file)).flatMap((source) =>
    rule(source).map((what) => `${source.file}: ${what}`),
  );
}

describe('architecture', () => {
  it('every folder of src has its place in the order', () => {
    const folders = new Set(SOURCES.map((s) => s.file.split('/')).flatMap((p) => (p.length > 2 ? [p[1] ?? ''] : [])));
    expect([...folders].filter((folder) => !ORDER.includes(folder))).toEqual([]);
  });

  it('a file imports only from its own folder or from folders further left', () => {
    const bad = offenders((source) => {
      const own = ORDER.indexOf(folderOf(source.file));
      if (own < 0) return []; // src/index.ts lists what all folders offer.
      return local(source).filter((spec) => {
        const target = targetOf(source.file, spec);
        return !target.startsWith('src/') || ORDER.indexOf(folderOf(target)) > own;
      });
    });
    expect(bad).toEqual([]);
  });

  it('imports name files that exist, with their extension', () => {
    const files = new Set(SOURCES.map((s) => s.file));
    expect(
      offenders((source) =>
        local(source).filter((spec) => {
          const target = targetOf(source.file, spec);
          return target.startsWith('src/') && target.endsWith('.ts') ? !files.has(target) : !target.endsWith('.json');
        }),
      ),
    ).toEqual([]);
  });

  it('onnxruntime is imported only under engine/ort', () => {
    const bad = offenders((source) => source.imports.filter((spec) => /^(onnxruntime|koffi)/.test(spec)));
    expect(bad.filter((line) => !line.startsWith('src/engine/ort/'))).toEqual([]);
  });

  it('files, sockets and processes are touched only by io and the shells', () => {
    const io =
      /^(node:)?(fs|fs\/promises|child_process|net|http|https|http2|tls|dgram|dns|worker_threads|readline|readline\/promises)$/;
    const bad = offenders((source) => [
      ...source.imports.filter((spec) => io.test(spec)),
      ...(code(source.text).match(/(?<![.\w])fetch\(/g) ?? []),
    ]);
    expect(bad.filter((line) => !SHELLS.some((shell) => line.startsWith(shell)))).toEqual([]);
  });

  it('the environment is read only by the shells and the engine host', () => {
    const bad = offenders((source) => code(source.text).match(/process\.env/g) ?? []);
    const allowed = ['src/cli/', 'src/server/', 'src/engine/ort/'];
    expect(bad.filter((line) => !allowed.some((shell) => line.startsWith(shell)))).toEqual([]);
  });

  it('the public list has at most 40 names', () => {
    const index = SOURCES.find(({ file }) => file === 'src/index.ts');
    const lists = [...code(index?.text ?? '').matchAll(/export (?:type )?\{([^}]*)\}/g)].map((match) => match[1] ?? '');
    const names = lists.flatMap((list) => list.split(',').filter((name) => name.trim() !== ''));
    expect(names.length).toBeGreaterThan(20);
    expect(names.length).toBeLessThanOrEqual(40);
  });

  it('there are no import cycles', () => {
    // Types are erased; what stays must not depend on the order of loading.
    const graph = new Map(SOURCES.map((s) => [s.file, s.values.map((spec) => targetOf(s.file, spec))]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file)) cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
      if (done.has(file) || trail.includes(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of graph.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it('files stay under 600 lines', () => {
    expect(offenders((s) => (s.text.split('\n').length > 600 ? [`${s.text.split('\n').length} lines`] : []))).toEqual(
      [],
    );
  });

  it('the tree in the README lists exactly the entries of src', () => {
    const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
    const block = /\nsrc\/\n((?: {2}.*\n)+)/.exec(readme)?.[1] ?? '';
    const listed = block.split('\n').flatMap((line) => /^ {2}([a-z]+)(?:\/|\.ts) /.exec(line)?.[1] ?? []);
    const present = new Set(SOURCES.map((s) => (s.file.split('/')[1] ?? '').replace(/\.ts$/, '')));
    expect(listed.sort()).toEqual([...present].sort());
  });

  it('every error code of the catalogue is thrown somewhere', () => {
    const all = SOURCES.filter((s) => !isTest(s.file) && !s.file.startsWith('src/errors/'))
      .map((s) => s.text)
      .join('\n');
    expect(Object.keys(CATALOGUE).filter((name) => !all.includes(`'${name}'`))).toEqual([]);
  });
});
