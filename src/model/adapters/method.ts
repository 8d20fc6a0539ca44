// Shape legend: N tokens, O outputs and I inputs of a linear module
import type { Builder, Value } from '../../graph/index.ts';
import type { HostTensor, Shape } from '../../tensor/tensor.ts';
import type { Linear, LinearModule } from '../architecture.ts';
import type { PeftReader } from './peft-reader.ts';

/** How one linear module is adapted: all that its programs depend on. */
export type AdaptedModule =
  | {
      readonly kind: 'lora';
      readonly rank: number;
      readonly scale: number;
      /** B A as they were at the start is taken off again, so that the start may be anything. */
      readonly start?: 'subtracted';
    }
  | { readonly kind: 'dora'; readonly rank: number; readonly scale: number }
  | { readonly kind: 'vera'; readonly rank: number; readonly dInitial: number }
  | { readonly kind: 'ia3'; readonly scales: 'input' | 'output' };

/** The adapter methods. */
export type AdapterKind = AdaptedModule['kind'];

/** What LoRA and DoRA are asked for. */
export interface LowRank {
  readonly rank: number;
  readonly alpha: number;
  /** Scale alpha / sqrt(rank) instead of alpha / rank (arXiv:2312.03732). */
  readonly rsLora: boolean;
  /** rank and alpha of single modules, by peft's rank_pattern and alpha_pattern. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
}

/** What the tensors of an adapter begin as, beside peft's default. */
export type Start = 'pissa' | 'olora';

/** A method's own settings. */
export type Settings =
  | ({ readonly kind: 'lora'; readonly start?: Start } & LowRank)
  | ({ readonly kind: 'dora' } & LowRank)
  | { readonly kind: 'vera'; readonly rank: number; readonly dInitial: number; readonly seed: number }
  | { readonly kind: 'ia3'; readonly feedforward: string | readonly string[] };

/** Where a linear module is computed. */
export interface LinearCall {
  readonly g: Builder;
  readonly size: LinearModule;
  /** The frozen module: x [N, I] to [N, O]. */
  readonly base: Linear;
  readonly x: Value;
  /** x with dropout; x itself where none is asked for. */
  readonly kept: Value;
}

/** What a new trained tensor begins as: one value, uniform within a bound, or what {@link AdapterMethod.fromWeight} makes of the base. */
export type Initial = { readonly fill: number } | { readonly bound: number } | 'from weight';

/** A frozen tensor that all modules share: its name in files behind `base_model.`, and how it is drawn. */
export interface SharedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly bound: number;
}

/**
 * An adapter method: which tensors train, how a linear layer is computed given the base's, what is kept of the base for it, and how it stands in a PEFT
 * folder. Names of tensors are what follows `<module>.`, in the inputs of programs and behind peft's prefix in files.
 */
export interface AdapterMethod<K extends AdapterKind> {
  /** What trains. */
  tensors(module: Of<K>, size: LinearModule): Readonly<Record<string, Shape>>;
  initial(name: string, module: Of<K>, size: LinearModule): Initial;
  linear(module: Of<K>, call: LinearCall): Value;
  /** Made once from the weight [O, I]: what stays, and what new tensors begin as. */
  fromWeight?(module: Of<K>, g: Builder, weight_OI: Value): Readonly<Record<string, Value>>;
  /** Made again after each change of what trains, outside the gradient. */
  derived?(module: Of<K>, call: Pick<LinearCall, 'g' | 'size' | 'base'>): Readonly<Record<string, Value>>;
  /**
   * How merging changes the rows of the weight [O, I], in float64, and the bias where there is one.
   *
   * @param tensor the module's tensors, and shared ones, as the folder has them
   */
  merge(module: Of<K>, size: LinearModule, tensor: (part: string) => HostTensor): Merge;
  /** Frozen tensors of all modules together. */
  shared?(settings: SettingsOf<K>, sizes: readonly LinearModule[]): readonly SharedTensor[];
  /** The parts of shared tensors, as values of the host, that a module's programs have as inputs. */
  cut?(size: LinearModule): readonly Cut[];
  /** Rate of the optimiser relative to LoRA's, where none is given. */
  readonly rate: number;
  readonly hasDropout: boolean;
  readonly folder: FolderForm<K>;
}

/** What becomes of a module's own tensors when an adapter is merged into them. */
export interface Merge {
  /** Changes row `o` of the weight. */
  row(row: Float64Array, o: number): void;
  /** What the bias is multiplied by, where merging changes it. */
  readonly bias?: Float32Array;
}

/** A program's input that is the first rows, or the first columns, of a shared tensor. */
export interface Cut {
  readonly input: string;
  readonly of: string;
  readonly axis: 0 | 1;
  readonly length: number;
}

/** How a method stands in a PEFT folder. */
export interface FolderForm<K extends AdapterKind> {
  readonly peftType: 'LORA' | 'VERA' | 'IA3';
  /** Keys of adapter_config.json that change the result and are not computed; each must be absent, null, false or empty. */
  readonly refused: readonly string[];
  /** Whether layers_to_transform is a key. */
  readonly knowsLayers: boolean;
  /** Whether ensure_weight_tying is a key; without it peft trains a tied embedding apart from its head. */
  readonly knowsTying: boolean;
  read(reader: PeftReader): SettingsOf<K>;
  /**
   * Keys beyond those that every method has, or in place of them.
   *
   * @param modules the adapted ones by full name
   * @param targets what stands as target_modules
   */
  write(
    settings: SettingsOf<K>,
    modules: ReadonlyMap<string, Of<K>>,
    targets: string | readonly string[],
  ): Readonly<Record<string, unknown>>;
  /** peft's key of the dropout. */
  readonly dropoutKey: string | undefined;
  /** How these settings adapt the module of this full name. */
  adapt(settings: SettingsOf<K>, name: string): Of<K>;
}

/** An adapted module of one method. */
export type Of<K extends AdapterKind> = Extract<AdaptedModule, { readonly kind: K }>;
/** The settings of one method. */
export type SettingsOf<K extends AdapterKind> = Extract<Settings, { readonly kind: K }>;
