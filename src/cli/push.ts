import { createInterface } from 'node:readline/promises';
import { TunesmithError } from '../errors/index.ts';
import { parseHubId } from '../io/hub-id.ts';
import { pushFiles, pushToHub, repoUrl } from '../io/hub-push.ts';
import type { Context, OptionSpecs, Values } from './command.ts';
import { bytesText } from './format.ts';
import { openProgress } from './progress.ts';

/** Options of commands that put a folder on the hub. */
export const pushOptions = {
  push: { type: 'string', value: 'OWNER/NAME', description: 'put the files on the hub afterwards; asks first' },
  public: {
    type: 'boolean',
    description: 'a repository that --push makes is seen by all (default: by its owner only)',
  },
  yes: { type: 'boolean', description: 'push without asking' },
} as const satisfies OptionSpecs;

type PushValues = Values<typeof pushOptions>;

/**
 * Says what is wrong with a push before anything is computed for it.
 *
 * @throws CLI_OPTION_CONFLICT, CLI_OPTION_VALUE, CLI_ARGUMENT, PUSH_REFUSED
 */
export function requirePush({ push, public: isPublic, yes }: PushValues, { hub, terminal }: Context): void {
  if (push === undefined) {
    const useless = isPublic === true ? '--public' : yes === true ? '--yes' : undefined;
    if (useless === undefined) return;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `${useless} has no effect without --push.` });
  }
  if (hub.offline)
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--push needs the network, which is off.' });
  const id = parseHubId(push);
  if (id === undefined || id.repo !== push) {
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: `--push ${push} is not OWNER/NAME.`,
      fix: '--push your-name/my-model',
    });
  }
  if (hub.token === undefined) {
    throw new TunesmithError('PUSH_REFUSED', { message: 'no token is given.' });
  }
  repoUrl(push, hub);
  if (yes !== true && !isAsked(terminal)) {
    const message = 'nobody is there to be asked whether the files may go out.';
    throw new TunesmithError('CLI_ARGUMENT', { message, fix: '--yes pushes without asking' });
  }
}

function isAsked({ json, quiet }: Context['terminal']): boolean {
  return process.stdin.isTTY === true && !json && !quiet;
}

/** Shows where a folder goes and how large it is, asks, and puts it there. @throws PUSH_REFUSED, PUSH_FAILED and the errors of the network */
export async function pushFolder(
  folder: string,
  { push, public: isPublic, yes }: PushValues,
  { hub, terminal, signal }: Context,
): Promise<void> {
  if (push === undefined) return;
  const files = pushFiles(folder);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const url = repoUrl(push, hub);
  const seen = isPublic === true ? 'public if it is new' : 'private if it is new';
  terminal.emit({
    type: 'push',
    repo: push,
    url,
    files: files.map(({ name, bytes: size }) => ({ name, bytes: size })),
    bytes,
  });
  terminal.say(`To push: ${files.length} files, ${bytesText(bytes)}, to ${url} (${seen}).`);
  if (yes !== true && !(await agrees(signal))) {
    terminal.print(`Not pushed. The files are in ${folder}.`);
    return;
  }
  const progress = openProgress(terminal, 'push');
  try {
    const onProgress = (done: number, total: number) => progress.update(Math.min(done, total), total, bytesText(done));
    const target = { repo: push, isPrivate: isPublic !== true, summary: 'Upload by tunesmith' };
    const commit = await pushToHub(files, target, hub, { signal, onProgress });
    progress.stop();
    terminal.emit({ type: 'pushed', repo: push, url, commit });
    terminal.print(`Pushed: ${url}`);
  } finally {
    progress.stop();
  }
}

async function agrees(signal: AbortSignal): Promise<boolean> {
  const input = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await input.question('Push them? [y/N] ', { signal })).trim());
  } finally {
    input.close();
  }
}
