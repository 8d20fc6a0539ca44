import type { Tokenizer } from '../../text/index.ts';
import type { Network } from '../network.ts';

/** What forgetting is measured on. It is handed in: the probes stand further right than training. */
export interface Abilities {
  /** Paragraphs of general text, which are never replayed. */
  readonly generalText: () => readonly string[];
  /** Accuracy of a network on the probes of general ability, all skills together. */
  readonly suite: (net: Network, tokenizer: Tokenizer, signal: AbortSignal) => Promise<number>;
}

/** Nothing is measured, and nothing is kept from being replayed. */
export const NO_ABILITIES: Abilities = {
  generalText: () => [],
  suite: async () => {
    throw new Error('internal: no probes were handed in');
  },
};
