import type { Engine } from '../engine/index.ts';
import { makeFolder } from '../io/index.ts';
import { type AdapterSpec, type LoraRequest, loraRequest, resolveAdapter } from '../model/adapter.ts';
import { initialAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import { writePeft } from '../model/peft.ts';
import { baseHash, type ModelSource } from '../model/source.ts';
import { readTrained } from './checkpoint.ts';
import { writeClassifier } from './classify/file.ts';
import { initialScore } from './classify/head.ts';
import { createNetwork, type Network } from './network.ts';

/** A base model with a new adapter, in an engine. */
export interface LoraNetwork extends Network {
  readonly source: ModelSource;
  readonly spec: AdapterSpec;
}

/** What goes onto a base. */
export type NewLora = LoraRequest & {
  readonly seed?: number;
  /** `reward`: a model that gives texts a number, by a head of its own at their last token. Default: one that goes on writing. */
  readonly head?: 'reward' | undefined;
};

/**
 * Loads a base model and puts a new LoRA adapter on it (Hu et al. 2021, arXiv:2106.09685): A random, B zero, so that it begins as the base.
 *
 * @throws ADAPTER_TARGETS
 */
export function createLora(engine: Engine, source: ModelSource, { seed = 0, head, ...request }: NewLora): LoraNetwork {
  const spec = resolveAdapter(source.config, loraRequest(request));
  const base = uploadBase(engine, source.config, source.tensors);
  const adapter = initialAdapter(engine, source, spec, seed);
  const dropout = spec.dropout > 0 ? { share: spec.dropout, seed } : undefined;
  const score = head && engine.upload(initialScore(1, source.config.hiddenSize, seed));
  const classifier = score && ({ kind: 'reward', classes: 1, score } as const);
  return { ...createNetwork({ engine, base, adapter, classifier, dropout }), source, spec };
}

/**
 * Writes the adapter as it stands into a folder that peft loads unchanged.
 *
 * @param hubId the base's hub id, so that peft finds it
 * @throws DISK_FULL, FILE_WRITE_FAILED
 */
export async function saveAdapter(net: LoraNetwork, folder: string, hubId?: string): Promise<void> {
  makeFolder(folder);
  const origin = { baseModel: hubId, baseHash: await baseHash(net.source) };
  const isReward = net.classifier?.kind === 'reward';
  writePeft(folder, net.spec, await readTrained(net), origin, { task: isReward ? 'SEQ_CLS' : 'CAUSAL_LM' });
  if (isReward) writeClassifier(folder, { kind: 'reward', labels: ['reward'], calibration: null });
}
