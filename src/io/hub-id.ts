/** What a hub id names: `owner/name`, `owner/name@revision`, `owner/name:file.gguf`, or both. */
export interface HubId {
  /** `owner/name` */
  readonly repo: string;
  /** A branch, tag or commit. */
  readonly revision: string;
  /** A .gguf file of the repository, with its folders. */
  readonly file: string | undefined;
}

/** What is taken where an id names no revision. */
export const DEFAULT_REVISION = 'main';

const LONGEST_REPO = 96;
const PART = /^[A-Za-z0-9_](?:[\w.-]*\w)?$/;

/** Reads a hub id; undefined for what cannot be one, by the hub's own rules for names. */
export function parseHubId(text: string): HubId | undefined {
  // Neither owner nor name holds an @ or a colon, and a revision holds no colon.
  const match = /^([^@:/]+\/[^@:/]+)(?:@([^:]+))?(?::(.+))?$/.exec(text);
  if (match === null) return undefined;
  const [, repo = '', revision = DEFAULT_REVISION, file] = match;
  if (!isRepo(repo) || !isRevision(revision) || (file !== undefined && !isGgufPath(file))) return undefined;
  return { repo, revision, file };
}

/** The shortest text that {@link parseHubId} reads as this id. */
export function formatHubId({ repo, revision, file }: HubId): string {
  return `${repo}${revision === DEFAULT_REVISION ? '' : `@${revision}`}${file === undefined ? '' : `:${file}`}`;
}

/** Two dashes stand for the slash in names of cache folders, so no name holds them. */
function isRepo(repo: string): boolean {
  if (repo.length > LONGEST_REPO || repo.includes('--') || repo.includes('..')) return false;
  return repo.split('/').every((part) => PART.test(part)) && !/\.(git|gguf)$/i.test(repo);
}

/** As git allows them, without what would lead out of a folder. */
function isRevision(revision: string): boolean {
  return /^[\w.+-]+(\/[\w.+-]+)*$/.test(revision) && !revision.includes('..') && !revision.startsWith('-');
}

function isGgufPath(file: string): boolean {
  const parts = file.split('/');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be in a name
  const plain = (part: string) => part !== '' && part !== '.' && part !== '..' && !/[\\:@?#%\u0000-\u001f]/.test(part);
  return /[^/]\.gguf$/i.test(file) && parts.every(plain);
}
