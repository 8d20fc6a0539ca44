import type { LowRank } from './method.ts';
import type { PeftReader } from './peft-reader.ts';
import { patternValue } from './targets.ts';

/** Keys of a LoRA config that change the result and are not computed. */
export const LORA_REFUSED = [
  'target_parameters',
  'layer_replication',
  'alora_invocation_tokens',
  'use_qalora',
  'use_bdlora',
  'lora_bias',
  'exclude_modules',
  'arrow_config',
  'monteclora_config',
  'velora_config',
  'kasa_config',
] as const;

/** Rank and scale of one module. */
export function rankAndScale(settings: LowRank, name: string): { readonly rank: number; readonly scale: number } {
  const rank = patternValue(settings.rankPattern, name) ?? settings.rank;
  const alpha = patternValue(settings.alphaPattern, name) ?? settings.alpha;
  return { rank, scale: alpha / divisor(settings, rank) };
}

/** What alpha is divided by. */
function divisor({ rsLora }: LowRank, rank: number): number {
  return rsLora ? Math.sqrt(rank) : rank;
}

/** Values of init_lora_weights that leave the base as it is. */
const HARMLESS: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'eva', 'orthogonal'];

/** Reads what LoRA and DoRA have in common. */
export function readLowRank({ json, positive, pattern, refuse }: PeftReader): LowRank {
  const start = json.init_lora_weights;
  if (!HARMLESS.includes(start)) {
    refuse(
      `init_lora_weights "${String(start)}" goes with a changed base: save it with peft's path_initial_model_for_weight_conversion.`,
    );
  }
  return {
    rank: positive('r'),
    alpha: positive('lora_alpha'),
    rsLora: json.use_rslora === true,
    rankPattern: pattern('rank_pattern'),
    alphaPattern: pattern('alpha_pattern'),
  };
}

/** Writes what LoRA and DoRA have in common; what a module has unlike the others stands under its full name. */
export function writeLowRank(
  settings: LowRank,
  modules: ReadonlyMap<string, { readonly rank: number; readonly scale: number }>,
): Record<string, unknown> {
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  for (const [name, { rank, scale }] of modules) {
    const alpha = scale * divisor(settings, rank);
    if (rank !== settings.rank) rankPattern[name] = rank;
    if (Math.abs(alpha - settings.alpha) > 1e-6 * settings.alpha) alphaPattern[name] = alpha;
  }
  return {
    alpha_pattern: alphaPattern,
    bias: 'none',
    init_lora_weights: true,
    lora_alpha: settings.alpha,
    r: settings.rank,
    rank_pattern: rankPattern,
    use_rslora: settings.rsLora,
  };
}
