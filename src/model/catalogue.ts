import { nearestName } from '../errors/index.ts';
import type { ModelSource } from '../io/cache.ts';
import { parseHubId } from '../io/hub-id.ts';
import { MODEL_TYPES } from './config.ts';
import { type KnownModel, LISTED_MODELS } from './known-models.ts';

export type { KnownModel } from './known-models.ts';

/** The models that tunesmith knows, the default first: those listed whose architecture is computed. */
export const KNOWN_MODELS: readonly KnownModel[] = LISTED_MODELS.filter(({ config }) =>
  MODEL_TYPES.some((type) => type === config.model_type),
);

/** The model that commands take when none is named. */
export const DEFAULT_MODEL = 'smollm2-135m-instruct';

/** Looks a model up by its short name or its hub id, in any case. */
export function knownModel(name: string): KnownModel | undefined {
  const wanted = name.toLowerCase();
  return KNOWN_MODELS.find((model) => model.id === wanted || model.hubId.toLowerCase() === wanted);
}

/** Names that are offered for one that is not known. */
const MOST_OFFERED = 4;

/** The short names that a name may have meant: those that hold it, otherwise the one that is spelt most like it, or begins so. */
export function nearestKnown(name: string): string[] {
  const plain = (text: string) => text.toLowerCase().replace(/[-_.\s]/g, '');
  // The owner is left out: many publish copies of a model.
  const wanted = plain(parseHubId(name)?.repo.split('/')[1] ?? name);
  if (wanted.length < 3) return [];
  const holding = KNOWN_MODELS.filter(({ id }) => plain(id).includes(wanted));
  if (holding.length > 0) return holding.slice(0, MOST_OFFERED).map(({ id }) => id);
  const spellings = KNOWN_MODELS.flatMap(({ id, hubId }) =>
    [id, hubId.split('/')[1] ?? id].map((n) => [plain(n), id] as const),
  );
  const beginnings = spellings.map(([spelling, id]) => [spelling.slice(0, wanted.length + 1), id] as const);
  for (const known of [new Map(spellings), new Map(beginnings.toReversed())]) {
    const near = known.get(nearestName(wanted, known.keys()) ?? '');
    if (near !== undefined) return [near];
  }
  return [];
}

/** How what a source brings is known to be right, in words. */
export function pinOf(source: ModelSource): string {
  return source.kind === 'pip' ? `sha256 ${source.sha256}` : "unpinned, verified against the hub's own listing";
}
