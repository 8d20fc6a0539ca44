import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatHubId, parseHubId } from './hub-id.ts';

const word = fc.stringMatching(/^[A-Za-z0-9_]([A-Za-z0-9_.]{0,10}[A-Za-z0-9_])?$/).filter((s) => !s.includes('..'));
const repo = fc
  .tuple(word, word)
  .map(([owner, name]) => `${owner}/${name}`)
  .filter((s) => !/\.(git|gguf)$/i.test(s));
const revision = fc.oneof(
  fc.constant('main'),
  fc.stringMatching(/^[0-9a-f]{40}$/),
  fc.array(word, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
);
const file = fc.option(
  fc.array(word, { minLength: 1, maxLength: 3 }).map((parts) => `${parts.join('/')}.gguf`),
  { nil: undefined },
);

describe('parseHubId', () => {
  it('reads a repository, a revision, a file, and both', () => {
    expect(parseHubId('owner/name')).toEqual({ repo: 'owner/name', revision: 'main', file: undefined });
    expect(parseHubId('owner/name@v1.0')).toEqual({ repo: 'owner/name', revision: 'v1.0', file: undefined });
    expect(parseHubId('owner/name@refs/pr/1')).toMatchObject({ revision: 'refs/pr/1' });
    expect(parseHubId('owner/name:m-Q4_K_M.gguf')).toMatchObject({ revision: 'main', file: 'm-Q4_K_M.gguf' });
    expect(parseHubId('o/n@dev:sub/m.GGUF')).toEqual({ repo: 'o/n', revision: 'dev', file: 'sub/m.GGUF' });
  });

  it.each([
    '',
    'name',
    'a/b/c',
    '/name',
    'owner/',
    './name',
    '../name',
    'owner/..',
    'owner/name@',
    'owner/name:',
    'owner/name@../../x',
    'owner/name:x.bin',
    'owner/name:.gguf',
    'owner/name:../x.gguf',
    'owner/name:/x.gguf',
    'owner/name:a//x.gguf',
    'owner/name:a\\x.gguf',
    'owner/na--me',
    '-owner/name',
    'owner/name-',
    'owner/name.git',
    'folder/model.gguf',
    'C:/models/x.gguf',
    `owner/${'n'.repeat(100)}`,
    'owner/na me',
    'owner/name?x=1',
  ])('does not read %j', (text) => {
    expect(parseHubId(text)).toBeUndefined();
  });

  it('reads what formatHubId writes', () => {
    fc.assert(
      fc.property(repo, revision, file, (r, v, f) => {
        const id = { repo: r, revision: v, file: f };
        expect(parseHubId(formatHubId(id))).toEqual(id);
      }),
    );
  });

  it('never throws, and what it reads leads out of no folder', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[\w./@:\\-]{0,40}$/));
    fc.assert(
      fc.property(text, (input) => {
        const id = parseHubId(input);
        if (id === undefined) return;
        expect(`${id.repo}/${id.revision}/${id.file ?? ''}`.split('/')).not.toContain('..');
        expect(parseHubId(formatHubId(id))).toEqual(id);
      }),
      { numRuns: 500 },
    );
  });
});
