import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import type { KnownModel } from '../model/catalogue.ts';
import { type ModelConfig, parseHfConfig } from '../model/config.ts';
import { RunConfig } from '../train/config.ts';
import { evaluationBytes, stepBytes, type Trainee } from '../train/memory.ts';

/** Memory that a model takes at least, in bytes, both processes together. */
export interface ModelNeeds {
  /** To answer: float32 weights, and keys and values of {@link NEEDS_TOKENS} tokens. */
  readonly run: number;
  /** To train LoRA at its defaults on rows of up to {@link NEEDS_TOKENS} tokens, one at a time, with nothing kept for the backward pass. */
  readonly tune: number;
}

/** Tokens of a row, or of prompt and answer, that {@link modelNeeds} reckons with. */
export const NEEDS_TOKENS = 1024;

/** What a model of the catalogue needs, reckoned by what plans a run. @throws MODEL_UNSUPPORTED */
export function modelNeeds(known: KnownModel): ModelNeeds {
  const model = parseHfConfig(known.config, known.id);
  const length = Math.min(NEEDS_TOKENS, model.maxPositions);
  const layout = { tokens: length, rows: 1, length, dense: true };
  return {
    run: evaluationBytes(traineeOf(model, 'nothing'), layout) + cacheBytes(model, length),
    tune: stepBytes(traineeOf(model, 'lora'), layout, 'nothing'),
  };
}

function traineeOf(model: ModelConfig, what: 'lora' | 'nothing'): Trainee {
  const config = RunConfig.parse({ model: '', data: '' });
  const { weights } = config;
  if (weights.kind !== 'lora') throw new Error('internal: a run trains LoRA by default');
  const { rank, alpha, dropout, targets } = weights;
  const spec = resolveAdapter(model, loraRequest({ rank, alpha, dropout, targets }));
  const source = { path: '', config: model, tensors: new Map(), text: undefined, weightFiles: [] };
  return { config, source, spec: what === 'lora' ? spec : { ...spec, modules: [] } };
}

/** Keys and values of every layer, [G, C, K] each, in float32. */
function cacheBytes({ layers, kvHeads, headDim }: ModelConfig, tokens: number): number {
  return 4 * 2 * layers * kvHeads * headDim * tokens;
}
