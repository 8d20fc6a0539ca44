import { TunesmithError } from '../errors/index.ts';
import { writeAtomic } from '../io/atomic.ts';
import { readJson } from '../io/files.ts';
import type { AdaptedModules } from './adapters/index.ts';
import type { PeftAdapter } from './peft.ts';

/**
 * The same adapter at another strength: W + lambda * delta, by scaling alpha (weight interpolation: Wortsman et al. 2021, WiSE-FT, arXiv:2109.01903).
 *
 * @param strength lambda; 1 is as it was trained
 * @param folder named in the error
 * @throws ADAPTER_STRENGTH where what was trained is not a difference that one number scales
 */
export function withStrength(adapter: PeftAdapter, strength: number | undefined, folder: string): PeftAdapter {
  if (strength === undefined || strength === 1) return adapter;
  const { spec } = adapter;
  const { settings } = spec;
  const fault =
    settings.kind !== 'lora'
      ? `is of the method ${settings.kind}, whose update is no difference that one number scales.`
      : adapter.score !== undefined
        ? 'has a head that classifies, which was trained with the whole adapter.'
        : spec.saved.length > 0
          ? `holds ${spec.saved[0]}, which was trained in full.`
          : spec.tokenRows !== undefined
            ? 'holds rows of tokens, which were trained in full.'
            : undefined;
  if (fault !== undefined || settings.kind !== 'lora') {
    throw new TunesmithError('ADAPTER_STRENGTH', { file: folder, message: fault ?? '', fix: 'leave --strength out' });
  }
  const modules = spec.modules.map(
    (layer): AdaptedModules =>
      new Map(
        [...layer].map(([name, one]) => [name, one.kind === 'lora' ? { ...one, scale: strength * one.scale } : one]),
      ),
  );
  const alphaPattern = scaledValues(settings.alphaPattern, strength);
  const scaled = { ...settings, alpha: strength * settings.alpha, alphaPattern };
  return { ...adapter, spec: { ...spec, settings: scaled, modules } };
}

function scaledValues(values: Readonly<Record<string, number>>, by: number): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, by * value]));
}

/** Writes adapter_config.json of a LoRA folder at another strength: its alphas are what says it. */
export function writeStrength(from: string, to: string, strength: number): void {
  const json = readJson(from) as Record<string, unknown>;
  const pattern = (json.alpha_pattern ?? {}) as Readonly<Record<string, number>>;
  const scaled = {
    ...json,
    lora_alpha: strength * Number(json.lora_alpha),
    alpha_pattern: scaledValues(pattern, strength),
  };
  writeAtomic(to, `${JSON.stringify(scaled, null, 2)}\n`);
}
