import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { main } from '../../src/cli/run.ts';
import { type Called, linesOf, temporaryFolder } from '../support/cli.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { openToyPushHub, type ToyPushHub } from '../support/toy-push-hub.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(path.join(folder, 'model'));
let hub: ToyPushHub | undefined;
let outs = 0;

afterEach(async () => {
  await hub?.close();
  hub = undefined;
});

async function push(args: readonly string[], token: string | undefined = 'writer'): Promise<Called & { out: string }> {
  const written = { out: '', err: '' };
  const sink = (to: 'out' | 'err') => ({
    write: (text: string) => {
      written[to] += text;
    },
  });
  const out = path.join(folder, `out-${outs++}`);
  const words = ['export', model, '--to', 'safetensors', '--threads', '1', '--out', out, '--json', ...args];
  const exit = await main(words, {
    stdout: sink('out'),
    stderr: sink('err'),
    env: { HF_HOME: path.join(folder, 'hf'), HF_ENDPOINT: hub?.url ?? 'http://127.0.0.1:1', HF_TOKEN: token },
    signal: new AbortController().signal,
  });
  return { exit, lines: linesOf(written.out), stderr: written.err, out };
}

describe('export --push', () => {
  test.each([
    ['whole', {}],
    ['in parts', { chunk: 30_000 }],
  ])(
    'puts all files into one commit, large ones %s by Git LFS',
    async (_, quirks) => {
      hub = await openToyPushHub(quirks);
      const { exit, lines, stderr, out } = await push(['--push', 'ada/my-model', '--yes']);
      expect(exit, stderr).toBe(0);
      const repo = hub.repos.get('ada/my-model')!;
      expect(repo.isPrivate).toBe(true);
      expect(repo.summaries).toHaveLength(1);
      const plan = lines.find(({ type }) => type === 'push') as unknown as { files: { name: string; bytes: number }[] };
      expect([...repo.files.keys()].sort()).toEqual(plan.files.map(({ name }) => name).sort());
      expect(plan.files.map(({ name }) => name)).toContain('model.safetensors');
      for (const [name, bytes] of repo.files) expect(bytes.equals(readFileSync(path.join(out, name))), name).toBe(true);
      expect(lines.at(-1)).toMatchObject({ type: 'pushed', url: `${hub.url}/ada/my-model` });
      expect(stderr).toContain(`to ${hub.url}/ada/my-model (private if it is new)`);
    },
    60_000,
  );

  test('gives the token to the hub alone, and sends again only what is new', async () => {
    hub = await openToyPushHub();
    await push(['--push', 'ada/my-model', '--yes', '--public']);
    const stored = () => hub!.asked.filter(({ host }) => host === 'storage');
    expect(stored().length).toBeGreaterThan(0);
    expect(stored().every(({ token }) => token === undefined)).toBe(true);
    expect(hub.repos.get('ada/my-model')?.isPrivate).toBe(false);
    const before = stored().filter(({ what }) => what.includes('PUT')).length;
    const again = await push(['--push', 'ada/my-model', '--yes']);
    expect(again.exit, again.stderr).toBe(0);
    // The weights are the same; certificate and card are small.
    expect(stored().length - before).toBeLessThan(before);
    expect(hub.repos.get('ada/my-model')?.summaries).toHaveLength(2);
  }, 60_000);

  test('tells a token that may not write, and a storage that forgets', async () => {
    hub = await openToyPushHub();
    const refused = await push(['--push', 'ada/my-model', '--yes'], 'reader');
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toContain('PUSH_REFUSED');
    expect(refused.stderr).toContain('You may not write here');
    await hub.close();
    hub = await openToyPushHub({ forgets: true });
    const lost = await push(['--push', 'ada/my-model', '--yes']);
    expect(lost.exit).toBe(1);
    expect(lost.stderr).toContain('PUSH_FAILED');
    expect(hub.repos.get('ada/my-model')?.files.size).toBe(0);
  }, 60_000);

  test.each([
    [['--push', 'ada/my-model'], 'CLI_ARGUMENT', 'writer'],
    [['--push', 'my-model', '--yes'], 'CLI_OPTION_VALUE', 'writer'],
    [['--push', 'ada/my-model@dev', '--yes'], 'CLI_OPTION_VALUE', 'writer'],
    [['--push', 'ada/my-model', '--yes'], 'PUSH_REFUSED', ''],
    [['--push', 'ada/my-model', '--yes', '--offline'], 'CLI_OPTION_CONFLICT', 'writer'],
    [['--yes'], 'CLI_OPTION_CONFLICT', 'writer'],
    [['--public'], 'CLI_OPTION_CONFLICT', 'writer'],
  ] as const)('%j is refused before anything is computed', async (args, code, token) => {
    const { exit, stderr, lines } = await push(args, token);
    expect(exit).toBe(2);
    expect(stderr).toContain(code);
    expect(lines.filter(({ type }) => type === 'plan')).toEqual([]);
  });
});
