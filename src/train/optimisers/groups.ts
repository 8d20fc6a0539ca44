/** How one parameter is treated unlike the others. */
export interface Group {
  /** Its rate relative to the schedule's. */
  readonly rate: number;
  readonly decays: boolean;
}

/** Names of norms and biases: transformers' Trainer excludes them from weight decay by these patterns, and GPT-2's ln_1, ln_2 and ln_f by their type. */
const NOT_DECAYED = /bias|layernorm|rmsnorm|(^|\.)norm($|\.)|_norm($|\.)|(^|\.)ln_/;

/**
 * The group of a parameter. LoRA+ (Hayou et al. 2024, arXiv:2402.12354) gives the B of an adapter a multiple of A's rate, and, as peft has it,
 * vectors too.
 *
 * @param name of the trained tensor, within its layer or in full
 */
export function groupOf(
  name: string,
  rank: number,
  { weightDecay, loraPlusRatio }: { readonly weightDecay: number; readonly loraPlusRatio: number },
): Group {
  const isFast = /\.lora_(embedding_)?B(\.|$)/.test(name) || rank === 1;
  return { rate: isFast ? loraPlusRatio : 1, decays: weightDecay !== 0 && !NOT_DECAYED.test(name) };
}
