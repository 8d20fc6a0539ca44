import { capacityFor } from '../generate/index.ts';
import type { ModelConfig } from '../model/config.ts';

/** Bytes of keys and values that answers in the making may take. */
const CACHE_BYTES = 384e6;
/** Answers that are drawn side by side at most: more gain little. */
const MOST = 64;

/** How many answers are drawn side by side, and what their cache takes. */
export function rolloutCache(
  { layers, kvHeads, headDim }: ModelConfig,
  {
    answers,
    promptTokens,
    maxTokens,
  }: { readonly answers: number; readonly promptTokens: number; readonly maxTokens: number },
): { readonly rows: number; readonly bytes: number } {
  const bytesOfRow = 2 * 4 * layers * kvHeads * headDim * capacityFor(promptTokens, maxTokens);
  const rows = Math.max(1, Math.min(MOST, answers, Math.floor(CACHE_BYTES / bytesOfRow)));
  // A prompt is run in a row of its own.
  return { rows, bytes: (rows + 1) * bytesOfRow };
}
