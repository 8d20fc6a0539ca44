import { z } from 'zod';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { type Digest, type Refusal, type RequestOptions, requestJson } from './http.ts';
import { formatHubId, type HubId } from './hub-id.ts';

/** The public hub. */
export const HUB = 'https://huggingface.co';

/** How the hub is spoken to. */
export interface HubOptions extends Omit<RequestOptions, 'refusal'> {
  /** Address of the hub or of a mirror (default {@link HUB}). */
  readonly endpoint?: string | undefined;
  /** For models behind a licence. Sent to the endpoint only. */
  readonly token?: string | undefined;
}

/** One file of a repository. */
export interface HubFile {
  /** Path in the repository. */
  readonly name: string;
  readonly bytes: number;
  readonly digest: Digest;
  readonly url: string;
}

/** What must be fetched of a model repository, as it is at one commit. */
export interface HubModel {
  readonly repo: string;
  /** The commit that the revision named; later pulls of it are equal. */
  readonly commit: string;
  readonly licence: string | undefined;
  readonly gated: boolean;
  /** A folder in Hugging Face layout, or one .gguf file. */
  readonly kind: 'folder' | 'gguf';
  /** Small ones first, so that what they show to be wrong is known before the weights come. */
  readonly files: readonly HubFile[];
  readonly bytes: number;
}

const Info = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  gated: z.union([z.boolean(), z.string()]).nullish(),
  cardData: z
    .object({ license: z.union([z.string(), z.array(z.string())]).nullish(), license_name: z.string().nullish() })
    .nullish()
    .catch(undefined),
});
const Entry = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number(),
  oid: z.string(),
  lfs: z.object({ oid: z.string(), size: z.number() }).optional(),
});
type Entry = z.infer<typeof Entry>;

/** Files beside the weights; no path in it, so that nothing lands outside the model's folder. */
const SMALL =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|model\.safetensors\.index)\.json$|^tokenizer\.model$|^chat_template\.(jinja|json)$/;
const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$/;
const SPLIT_GGUF = /-\d{5}-of-\d{5}\.gguf$/i;
/** The image part of a model, which is none by itself. */
const PROJECTOR = /(^|[/_-])mmproj/i;
/** Where listings lie below the address of a hub. */
const API = /\/api\/(?:models|datasets)\//;
/** No repository of a model has as many pages of files. */
const MOST_PAGES = 200;

/** Whether a file of a model folder holds weights. */
export function isWeights(name: string): boolean {
  return WEIGHTS.test(name) || /\.gguf$/i.test(name);
}

/**
 * Lists what must be fetched of a model on the hub: its safetensors with what goes with them, or else its one .gguf file, or the file that is named.
 *
 * @throws MODEL_NOT_FOUND for a repository, revision or file that is not there, or holds no weights that are read here; MODEL_GATED;
 * MODEL_FILE_CHOICE where it holds several GGUF files and none is named; and what {@link requestJson} throws
 */
export async function hubModel(id: HubId, options: HubOptions = {}): Promise<HubModel> {
  const base = endpointOf(options);
  const request = { ...options, headers: hubHeaders(options), refusal: hubRefusal(id, options) };
  const at = `${base}/api/models/${id.repo}`;
  const info = parse(Info, (await requestJson(`${at}/revision/${encodeURIComponent(id.revision)}`, request)).value, at);
  const entries = await listTree(`${at}/tree/${info.sha}${id.file?.includes('/') ? '?recursive=true' : ''}`, request);
  const { kind, chosen } = choose(id, entries);
  const files = chosen.map((entry) => fileOf(entry, `${base}/${id.repo}/resolve/${info.sha}`));
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const gated = typeof info.gated === 'string' || info.gated === true;
  return { repo: id.repo, commit: info.sha, licence: licenceOf(info), gated, kind, files, bytes };
}

/** All files of a data set repository, as it is at one commit. */
export interface HubDataset {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/**
 * Lists all files of a data set on the hub.
 *
 * @throws DATA_HUB for a repository or revision that is not there, MODEL_GATED, and what {@link requestJson} throws
 */
export async function hubDataset(id: HubId, options: HubOptions = {}): Promise<HubDataset> {
  const base = endpointOf(options);
  const request = { ...options, headers: hubHeaders(options), refusal: hubRefusal(id, options, false, 'data set') };
  const at = `${base}/api/datasets/${id.repo}`;
  const info = parse(Info, (await requestJson(`${at}/revision/${encodeURIComponent(id.revision)}`, request)).value, at);
  const entries = await listTree(`${at}/tree/${info.sha}?recursive=true`, request);
  const files = entries.map((entry) => fileOf(entry, `${base}/datasets/${id.repo}/resolve/${info.sha}`));
  return { commit: info.sha, files };
}

function fileOf(entry: Entry, at: string): HubFile {
  return {
    name: entry.path,
    bytes: entry.lfs?.size ?? entry.size,
    digest: digestOf(entry.lfs?.oid, entry.oid),
    url: `${at}/${entry.path.split('/').map(encodeURIComponent).join('/')}`,
  };
}

/** All pages of a listing. The next one is asked of the endpoint, whatever host it names, for only the endpoint gets the token. */
async function listTree(first: string, request: RequestOptions): Promise<Entry[]> {
  const entries: Entry[] = [];
  const [base = ''] = first.split(API, 1);
  let url: string | undefined = first;
  for (let pages = 0; url !== undefined; pages++) {
    if (pages === MOST_PAGES) throw strange(first);
    const page = await requestJson(url, request);
    entries.push(...parse(z.array(Entry), page.value, url));
    const path = page.next?.search(API) ?? -1;
    if (page.next !== undefined && path < 0) throw strange(first);
    url = page.next === undefined ? undefined : `${base}${page.next.slice(path)}`;
  }
  return entries.filter((entry) => entry.type === 'file');
}

interface Choice {
  readonly kind: HubModel['kind'];
  readonly chosen: readonly Entry[];
}

function choose(id: HubId, entries: readonly Entry[]): Choice {
  if (id.file !== undefined) return { kind: 'gguf', chosen: [namedGguf(id, id.file, entries)] };
  if (entries.some((entry) => WEIGHTS.test(entry.path))) {
    const of = (pattern: RegExp) => entries.filter((entry) => pattern.test(entry.path));
    return { kind: 'folder', chosen: [...of(SMALL), ...of(WEIGHTS)] };
  }
  const ggufs = wholeGgufs(entries);
  const [only] = ggufs;
  if (only === undefined) throw noWeights(id.repo, entries);
  if (ggufs.length === 1) return { kind: 'gguf', chosen: [only] };
  const named = ggufs.map((entry) => `${entry.path} (${sizeText(entry.lfs?.size ?? entry.size)})`);
  const usual = ggufs.find((entry) => /q4_k_m/i.test(entry.path)) ?? only;
  throw new TunesmithError('MODEL_FILE_CHOICE', {
    message: `${id.repo} holds ${ggufs.length} GGUF files: ${named.join(', ')}.`,
    fix: `name one, such as ${formatHubId({ ...id, file: usual.path })}`,
  });
}

function wholeGgufs(entries: readonly Entry[]): Entry[] {
  return entries.filter(({ path }) => /\.gguf$/i.test(path) && !SPLIT_GGUF.test(path) && !PROJECTOR.test(path));
}

function namedGguf(id: HubId, file: string, entries: readonly Entry[]): Entry {
  if (SPLIT_GGUF.test(file)) {
    const message = `${file} is one part of a split GGUF file, and only whole ones are read.`;
    throw new TunesmithError('MODEL_UNSUPPORTED', { message });
  }
  const found = entries.find((entry) => entry.path === file);
  if (found !== undefined) return found;
  const names = wholeGgufs(entries).map((entry) => entry.path);
  const near = nearestName(file, names) ?? names[0];
  throw new TunesmithError('MODEL_NOT_FOUND', {
    message: `${id.repo} holds no file ${file}.`,
    fix: near === undefined ? undefined : `did you mean ${formatHubId({ ...id, file: near })}?`,
  });
}

function noWeights(repo: string, entries: readonly Entry[]): TunesmithError {
  const has = (pattern: RegExp) => entries.some((entry) => pattern.test(entry.path));
  if (has(/^adapter_config\.json$/)) {
    const fix = 'download the adapter, and name its base as --model and its folder as --adapter.';
    return new TunesmithError('MODEL_NOT_FOUND', { message: `${repo} holds an adapter, not a model.`, fix });
  }
  const pickled = has(/\.(bin|pt|pth|ckpt)$/) ? ', only pickled weights, which may hold code' : '';
  return new TunesmithError('MODEL_NOT_FOUND', {
    message: `${repo} holds neither model.safetensors nor a whole GGUF file${pickled}.`,
    fix: 'use a repository that has the same model as safetensors or GGUF.',
  });
}

/** What the hub's refusals mean for a model or a data set. Without a token it says 401 of a repository that is private and of one that is not there. */
export function hubRefusal(
  id: HubId,
  options: HubOptions,
  gated = false,
  kind: 'model' | 'data set' = 'model',
): (refusal: Refusal) => TunesmithError {
  const base = endpointOf(options);
  const repo = kind === 'model' ? id.repo : `datasets/${id.repo}`;
  const missing = (message: string) =>
    new TunesmithError(kind === 'model' ? 'MODEL_NOT_FOUND' : 'DATA_HUB', { message });
  const has = options.token !== undefined;
  const tokens = `${base}/settings/tokens`;
  return ({ url, status, reason }) => {
    const no = status === 401 || status === 403;
    if (reason === 'GatedRepo' || (no && gated)) {
      const accept = `accept the licence at ${base}/${repo}`;
      return new TunesmithError('MODEL_GATED', {
        message: `${repo} is gated, and ${has ? 'the account of the given token has no access to it' : 'no token is given'}.`,
        fix: has
          ? `${accept} with that account and wait until it is granted, or make a token at ${tokens} that may read gated repositories.`
          : `${accept}, make a token at ${tokens} and set it as HF_TOKEN.`,
      });
    }
    if (reason === 'RevisionNotFound') return missing(`${repo} has no revision ${id.revision}.`);
    if (reason === 'EntryNotFound') return missing(`${repo} lists ${url}, but does not hold it.`);
    if (status === 401 && has && reason === undefined) {
      const fix = `make a new token at ${tokens} and set it as HF_TOKEN, or take the old one away.`;
      return new TunesmithError('DOWNLOAD_REFUSED', { message: `${base} does not know the given token.`, fix });
    }
    if (reason === 'RepoNotFound' || status === 404 || status === 401) {
      return missing(
        `${base} has no ${kind} ${id.repo}, or it is private${has ? '' : ' and no token is given in HF_TOKEN'}.`,
      );
    }
    return new TunesmithError('DOWNLOAD_REFUSED', { message: `${url} answered ${status}.` });
  };
}

/** Headers of a request to the hub. @throws DOWNLOAD_REFUSED for a token that is none */
export function hubHeaders({ token }: HubOptions): Record<string, string> {
  if (token === undefined) return { 'user-agent': 'tunesmith' };
  // What cannot be a header would be quoted by the error of fetch, and a token is nobody's business.
  if (!/^[!-~]+$/.test(token)) {
    const fix = 'give the token alone in HF_TOKEN, or log in again.';
    throw new TunesmithError('DOWNLOAD_REFUSED', { message: 'the given token holds what no token does.', fix });
  }
  return { 'user-agent': 'tunesmith', authorization: `Bearer ${token}` };
}

/** The address of the hub without a slash at its end. @throws DOWNLOAD_UNREACHABLE for what is no address */
export function endpointOf({ endpoint = HUB }: HubOptions): string {
  if (URL.canParse(endpoint) && /^https?:\/\//i.test(endpoint)) return endpoint.replace(/\/+$/, '');
  const message = `${endpoint} is no address of a hub.`;
  throw new TunesmithError('DOWNLOAD_UNREACHABLE', { message, fix: `set HF_ENDPOINT to an address such as ${HUB}` });
}

function licenceOf({ cardData }: z.infer<typeof Info>): string | undefined {
  const licence = [cardData?.license].flat().join(', ');
  return licence === 'other' ? (cardData?.license_name ?? licence) : licence === '' ? undefined : licence;
}

function digestOf(sha256: string | undefined, git: string): Digest {
  return sha256 === undefined ? { kind: 'git', hex: git } : { kind: 'sha256', hex: sha256 };
}

function sizeText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}

function parse<T>(schema: z.ZodType<T>, value: unknown, url: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw strange(url);
}

function strange(url: string): TunesmithError {
  return new TunesmithError('DOWNLOAD_CUT', { message: `${url} answered something else than the hub does.` });
}
