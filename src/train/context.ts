import type { Engine } from '../engine/index.ts';
import type { AdapterSpec } from '../model/adapter.ts';
import type { BaseHandles } from '../model/base.ts';
import type { ModelSource } from '../model/source.ts';
import type { OnActivity } from './activity.ts';
import type { Dataset } from './dataset.ts';
import type { Frozen } from './freeze.ts';
import type { MemoryPlan } from './memory.ts';
import type { Network } from './network.ts';
import type { NewModel } from './pretrain/new-model.ts';
import type { Abilities } from './retain/abilities.ts';
import type { TextSetup } from './rows.ts';

/** The folder of a run that holds the adapter which it started from, or the new model; if it started from one of these. */
export const START = 'init';

/** The part of config.json that freezes what neither the user nor the defaults say. */
export interface FrozenFacts {
  readonly base: { readonly path: string; readonly hubId: string | undefined; readonly sha256: string };
  readonly text: { readonly format: 'chat' | 'raw'; readonly clock: string };
  readonly maxLength: number;
  readonly memory: MemoryPlan;
  readonly threads: number;
  readonly versions: { readonly tunesmith: string; readonly node: string };
}

/** Everything that the execution of a run works with. */
export interface RunContext {
  readonly path: string;
  readonly source: ModelSource;
  readonly engine: Engine;
  readonly base: BaseHandles;
  readonly net: Network;
  readonly spec: AdapterSpec | undefined;
  readonly dataset: Dataset;
  readonly text: TextSetup;
  readonly frozen: Frozen;
  readonly facts: FrozenFacts;
  readonly origins: Readonly<Record<string, string>>;
  /** The model that a run makes, until it is written. */
  readonly newModel: NewModel | undefined;
  readonly isResumed: boolean;
  /** The folder in which runs find what earlier ones from the same start have sampled. */
  readonly cache: string | undefined;
  /** Gives a resumed run free; a new one is held from the moment at which its folder is there. */
  readonly release: (() => void) | undefined;
  /** What forgetting is measured on. */
  readonly abilities: Abilities;
  /** Told of what takes long and yields no event. */
  readonly onActivity: OnActivity;
  /** What is to be known about this start of the run, beside what is to be known about the data. */
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}
