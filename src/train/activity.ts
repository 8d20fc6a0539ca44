/** Work of a run that takes long and yields no event while it goes on. */
export interface Activity {
  /** The cost is measured; the log-probabilities of the model that the run starts from are kept; it says what will be replayed; the model that the run begins with, or its best, is held against the reporting rows; evaluation; answers. */
  readonly kind: 'measure' | 'reference' | 'rehearse' | 'baseline' | 'evaluate' | 'answer' | 'report';
  readonly done: number;
  readonly total: number;
  readonly unit: 'passes' | 'rows' | 'tokens';
}

/** Told how an activity goes: first with nothing done, at last with all. */
export type OnActivity = (activity: Activity) => void;
