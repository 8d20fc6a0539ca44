import { assertNoErrors } from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { type BaseHandles, placeBase } from '../../model/base.ts';
import { expectedTensors } from '../../model/weights.ts';
import { f32 } from '../../tensor/tensor.ts';
import type { RunConfig } from '../config.ts';
import type { Documents } from './documents.ts';
import { type NewModel, newModel } from './new-model.ts';

/** The model that a run makes instead of starting from one, for the folder that will hold it. Its tokenizer sees no held-out text. */
export function makeModel(
  { method, train: { seed } }: RunConfig,
  documents: Documents | undefined,
  folder: string,
): NewModel | undefined {
  if (method.kind !== 'pretrain' || method.fromScratch === undefined || documents === undefined) return undefined;
  const { fromScratch: file, vocab } = method;
  assertNoErrors(documents.findings);
  return newModel({ file, vocab, texts: documents.train.map(({ text }) => text), seed, folder });
}

/** The weights that a run starts with: those of a new model are not on any disk. */
export function placeWeights(engine: Engine, made: NewModel | undefined, stored: () => BaseHandles): BaseHandles {
  if (made === undefined) return stored();
  const { config } = made.source;
  const shapes = expectedTensors(config);
  return placeBase(config, (name) => engine.upload(f32(made.weight(name), shapes.get(name)!)));
}
