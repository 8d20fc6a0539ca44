import { adafactor } from './adafactor.ts';
import { adamW } from './adamw.ts';
import { adamW8bit } from './adamw-8bit.ts';
import { lion } from './lion.ts';
import type { UpdateRule } from './rule.ts';
import { sgd } from './sgd.ts';

/** Constants of every optimiser where the user sets none. Those of an optimiser are the options that it takes. */
export const OPTIMIZERS = {
  adamw: { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
  'adamw-8bit': { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
  sgd: { momentum: 0.9, nesterov: false },
  adafactor: { parameterScale: false },
  lion: { beta1: 0.9, beta2: 0.99 },
} as const;

/** Name of an optimiser. */
export type OptimizerName = keyof typeof OPTIMIZERS;

type Widened<T> = { readonly [K in keyof T]: T[K] extends boolean ? boolean : number };

/** An optimiser and its constants. */
export type OptimizerConstants = {
  [N in OptimizerName]: { readonly name: N } & Widened<(typeof OPTIMIZERS)[N]>;
}[OptimizerName];

/** Constants that some optimisers take and others do not. */
export const CONSTANTS = ['beta1', 'beta2', 'eps', 'momentum', 'nesterov', 'parameterScale'] as const;
/** One of {@link CONSTANTS}. */
export type ConstantName = (typeof CONSTANTS)[number];

/** Automatic rates relative to AdamW's. */
export const RATES: Readonly<Record<OptimizerName, number>> = {
  adamw: 1,
  'adamw-8bit': 1,
  // Tried on SmolLM2-135M with momentum 0.9 and gradients clipped to a norm of 1: steady, where 750 is not.
  sgd: 200,
  // Updates are clipped to a root mean square of 1, about what AdamW's have at the start.
  adafactor: 1,
  // Every entry moves by the whole rate: the paper advises rates 3 to 10 times smaller; short runs want the larger ones.
  lion: 0.33,
};

/** Whether an optimiser takes a constant. */
export function takes(name: OptimizerName, constant: ConstantName): boolean {
  return constant in OPTIMIZERS[name];
}

/** The constants that are given, and the defaults of the others. What the optimiser does not take is left out. */
export function constantsOf(
  name: OptimizerName,
  given: { readonly [C in ConstantName]?: number | boolean | undefined },
): OptimizerConstants {
  const entries = Object.entries(OPTIMIZERS[name]).map(([key, preset]) => [key, given[key as ConstantName] ?? preset]);
  return { name, ...Object.fromEntries(entries) } as OptimizerConstants;
}

/** The rule of an optimiser. */
export function ruleOf(constants: OptimizerConstants): UpdateRule {
  switch (constants.name) {
    case 'adamw':
      return adamW(constants);
    case 'adamw-8bit':
      return adamW8bit(constants);
    case 'sgd':
      return sgd(constants);
    case 'adafactor':
      return adafactor(constants);
    case 'lion':
      return lion(constants);
    default:
      return constants satisfies never;
  }
}
