/**
 * How the weights of a base model lie in memory: widened to float32; as they lie in their file; or the matrices of the layers rounded to 4 bits (NF4,
 * Dettmers et al. 2023, arXiv:2305.14314) or 8 bits in blocks of 64, and all else as in the file.
 */
export const BASE_WEIGHTS = ['f32', 'as-stored', 'nf4', 'int8'] as const;
/** One of {@link BASE_WEIGHTS}. */
export type BaseWeights = (typeof BASE_WEIGHTS)[number];
