// Shape legend: N tokens of a micro-batch, D model width, H query heads, G key/value heads, K head width
import type { Builder, Value } from '../graph/index.ts';
import type { Shape } from '../tensor/tensor.ts';
import type { LayerKind, ModelConfig, ModelType } from './config.ts';
import type { ConfigReader, GgufReader } from './config-reader.ts';

/** A linear module: its name within the layer and its size. Weights are [out, in], whatever the file's layout. */
export interface LinearModule {
  readonly module: string;
  readonly out: number;
  readonly in: number;
  readonly bias: boolean;
  /** Modules with the same value here read the same x. */
  readonly reads: string;
  /** One of many that a router chooses from: `all-linear` leaves it out, as peft does. */
  readonly isExpert?: boolean;
}

/** A tensor of a layer that is no matrix of a linear module, by its name within the layer: `input_layernorm.weight`. */
export interface LayerVector {
  readonly name: string;
  readonly shape: Shape;
}

/** A linear layer of a decoder layer by its module name, such as `self_attn.q_proj`: x [N, in] to [N, out]. */
export type Linear = (module: string, x: Value) => Value;

/** Attention of one layer: q [N, H*K] and k [N, G*K] as yet unrotated, v [N, G*K] to [N, H*K]. */
export type Attend = (qkv: { readonly q: Value; readonly k: Value; readonly v: Value }, kind: LayerKind) => Value;

/** What a router gives each token of the experts, and 1 for those that it chose: [N, E]. */
export interface Routing {
  readonly share_NE: Value;
  readonly chosen_NE: Value;
}

/** What a layer is built with. */
export interface LayerBuild {
  readonly g: Builder;
  readonly config: ModelConfig;
  readonly kind: LayerKind;
  /** Adds the bias where the module has one. */
  readonly linear: Linear;
  readonly attend: Attend;
  /** Told of the layer's router. */
  readonly onRouting: ((routing: Routing) => void) | undefined;
}

/**
 * Names of tensors without `.weight` or `.bias`, in GGUF files and in Hugging Face folders; both without the prefix of their layer.
 * The Hugging Face names are ours. A `*` stands for the number of an expert; GGUF files hold all experts in one tensor.
 */
export type NamePairs = readonly (readonly [gguf: string, hf: string])[];

/** Tensors outside the layers, by the names that programs call them. */
export type OuterName = 'embed' | 'positionTable' | 'norm' | 'norm.bias' | 'head';

/** How a tensor is named outside of programs. */
export interface OuterTensor {
  readonly name: OuterName;
  readonly hf: string;
  readonly gguf: string;
  readonly shape: Shape;
}

/** How an architecture stands in GGUF files. */
export interface GgufForm {
  /** general.architecture */
  readonly architecture: string;
  /** llama.cpp's converter interleaves the rows of Q and K. */
  readonly isPermuted: boolean;
  /** The converter stores weights of RMS norms with this much added. */
  readonly normOffset: number;
  /** Reads the metadata; only what differs from every other architecture. */
  readonly parse: (reader: GgufReader, common: ModelConfig) => ModelConfig;
}

/** Everything that is special about the models of one `model_type`. */
export interface Architecture {
  readonly modelType: ModelType;
  /** The class that transformers loads it with. */
  readonly className: string;
  /** Reads config.json in the spelling of transformers 4 or 5. */
  readonly parse: (reader: ConfigReader) => ModelConfig;
  /** Keys of config.json beyond those that all have. */
  readonly write: (config: ModelConfig) => Readonly<Record<string, unknown>>;
  /** Hugging Face folders hold the matrices of linear modules as [in, out]. */
  readonly isTransposed: boolean;
  readonly gguf: GgufForm;
  /** `model.layers` */
  readonly layersPrefix: string;
  readonly names: NamePairs;
  readonly outer: (config: ModelConfig) => readonly OuterTensor[];
  /** Linear modules of a layer in the order of their use. */
  readonly modules: (config: ModelConfig, layer: number) => readonly LinearModule[];
  /** Norms of a layer. Biases of linear modules are not among them. */
  readonly norms: (config: ModelConfig, layer: number) => readonly LayerVector[];
  /** One decoder layer: x [N, D] to [N, D]. */
  readonly layer: (build: LayerBuild, x_ND: Value) => Value;
  /** The norm before the head: x [*, D], with `norm` and, where there is one, `norm.bias` as inputs. */
  readonly finalNorm: (g: Builder, config: ModelConfig, x: Value) => Value;
}
