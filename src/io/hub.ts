import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { type Digest, type RequestOptions, requestJson } from './http.ts';

/** The public hub. */
export const HUB = 'https://huggingface.co';

/** How the hub is spoken to. */
export interface HubOptions extends RequestOptions {
  /** Address of the hub or of a mirror (default {@link HUB}). */
  readonly endpoint?: string | undefined;
  /** For models behind a licence. Sent to the endpoint only. */
  readonly token?: string | undefined;
}

/** One file of a repository. */
export interface HubFile {
  readonly name: string;
  readonly bytes: number;
  readonly digest: Digest;
  readonly url: string;
}

/** What a model repository holds at one commit. */
export interface HubModel {
  readonly repo: string;
  /** The commit that the revision named; later pulls of it are equal. */
  readonly commit: string;
  readonly licence: string | undefined;
  /** The files that inference and training need, weights as safetensors. */
  readonly files: readonly HubFile[];
  readonly bytes: number;
}

const Info = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  cardData: z.object({ license: z.string().optional() }).nullish(),
});
const Tree = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.number(),
    oid: z.string(),
    lfs: z.object({ oid: z.string(), size: z.number() }).optional(),
  }),
);

/** Files beside the weights; no path in it, so that nothing lands outside the model's folder. */
const SMALL =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|model\.safetensors\.index)\.json$|^tokenizer\.model$|^chat_template\.(jinja|json)$/;
const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$/;

/**
 * Lists what must be fetched of a model on the hub.
 *
 * @param repo `owner/name`
 * @param revision a branch, tag or commit
 * @throws DOWNLOAD_UNREACHABLE, DOWNLOAD_REFUSED, DOWNLOAD_CUT, MODEL_NOT_FOUND when it holds no safetensors
 */
export async function hubModel(repo: string, revision: string, options: HubOptions = {}): Promise<HubModel> {
  const base = (options.endpoint ?? HUB).replace(/\/+$/, '');
  const request = { ...options, headers: hubHeaders(options) };
  const at = `${base}/api/models/${repo}`;
  const info = parse(Info, (await requestJson(`${at}/revision/${encodeURIComponent(revision)}`, request)).value, at);
  const tree: z.infer<typeof Tree> = [];
  for (let url: string | undefined = `${at}/tree/${info.sha}`; url !== undefined; ) {
    const page = await requestJson(url, request);
    tree.push(...parse(Tree, page.value, url));
    // A page elsewhere would be sent the token.
    url = page.next?.startsWith(`${base}/`) ? page.next : undefined;
  }
  const files = tree
    .filter((entry) => entry.type === 'file' && (SMALL.test(entry.path) || WEIGHTS.test(entry.path)))
    .map((entry) => ({
      name: entry.path,
      bytes: entry.lfs?.size ?? entry.size,
      digest: digestOf(entry.lfs?.oid, entry.oid),
      url: `${base}/${repo}/resolve/${info.sha}/${entry.path}`,
    }));
  if (!files.some((file) => WEIGHTS.test(file.name))) {
    throw new TunesmithError('MODEL_NOT_FOUND', { message: `${repo} holds no model.safetensors.` });
  }
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { repo, commit: info.sha, licence: info.cardData?.license, files, bytes };
}

/** Headers of a request to the hub. */
export function hubHeaders(options: HubOptions): Record<string, string> {
  return {
    'user-agent': 'tunesmith',
    ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
  };
}

function digestOf(sha256: string | undefined, git: string): Digest {
  return sha256 === undefined ? { kind: 'git', hex: git } : { kind: 'sha256', hex: sha256 };
}

function parse<T>(schema: z.ZodType<T>, value: unknown, url: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new TunesmithError('DOWNLOAD_CUT', { message: `${url} answered something else than the hub does.` });
}
