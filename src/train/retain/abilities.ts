/** What forgetting is measured on. It is handed in: the probes stand further right than training. */
export interface Abilities {
  /** Paragraphs of general text, which are never replayed. */
  readonly generalText: () => readonly string[];
}

/** Nothing is measured, and nothing is kept from being replayed. */
export const NO_ABILITIES: Abilities = { generalText: () => [] };
