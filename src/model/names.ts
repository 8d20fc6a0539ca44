import type { Architecture } from './architecture.ts';
import { architectureOf, outerTensors } from './architectures.ts';
import type { ModelConfig } from './config.ts';

type Named = Pick<ModelConfig, 'modelType'>;

/** Full Hugging Face name of a tensor or module of decoder layer `index`. */
export function layerTensor(config: Named, index: number, name: string): string {
  return `${architectureOf(config).layersPrefix}.${index}.${name}`;
}

/** The layer that a Hugging Face name belongs to, and its name within it; undefined for one outside the layers. */
export function layerOfTensor(
  config: Named,
  hf: string,
): { readonly layer: number; readonly name: string } | undefined {
  const prefix = `${architectureOf(config).layersPrefix}.`;
  if (!hf.startsWith(prefix)) return undefined;
  const match = /^(\d+)\.(.+)$/.exec(hf.slice(prefix.length));
  return match === null ? undefined : { layer: Number(match[1]), name: match[2]! };
}

/** `self_attn.q_proj.weight` to `self_attn.q_proj` and `.weight`. */
function stemOf(name: string): readonly [stem: string, end: string] {
  const end = /\.(?:weight|bias)$/.exec(name)?.[0] ?? '';
  return [name.slice(0, name.length - end.length), end];
}

/** The name within its layer of a GGUF tensor such as `blk.0.attn_q.weight`; undefined for one that the model does not use. */
export function hfLayerName(
  { names }: Architecture,
  gguf: string,
): { readonly layer: number; readonly name: string } | undefined {
  const match = /^blk\.(\d+)\.(.+)$/.exec(gguf);
  if (match === null) return undefined;
  const [stem, end] = stemOf(match[2]!);
  const own = names.find(([name]) => name === stem)?.[1];
  return own === undefined ? undefined : { layer: Number(match[1]), name: own + end };
}

/** The GGUF name of a tensor by its Hugging Face name; undefined for one that has none. */
export function ggufName(config: ModelConfig, hf: string): string | undefined {
  const place = layerOfTensor(config, hf);
  if (place === undefined) return outerTensors(config).find((tensor) => tensor.hf === hf)?.gguf;
  const [stem, end] = stemOf(place.name);
  const own = architectureOf(config).names.find(([, name]) => name === stem)?.[0];
  return own === undefined ? undefined : `blk.${place.layer}.${own}${end}`;
}
