import type { Engine, Handle } from '../../engine/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { readSafetensorsHeader, type StoredTensor } from '../../io/index.ts';
import type { AdapterTask, PeftAdapter } from '../../model/peft.ts';
import type { ModelSource } from '../../model/source.ts';
import type { RunConfig } from '../config.ts';
import { type Classes, classWeights } from './classes.ts';
import { isRewardModel, readClassifier } from './file.ts';
import { type Classifier, initialScore, SCORE_TENSOR } from './head.ts';

/** What a method makes of a model. */
export function taskOf({ method }: Pick<RunConfig, 'method'>): AdapterTask {
  return method.kind === 'classify' || method.kind === 'reward' ? 'SEQ_CLS' : 'CAUSAL_LM';
}

/** What a head is placed for. */
export interface HeadInputs {
  readonly source: ModelSource;
  readonly dataset: { readonly classes: Classes | undefined };
  /** The adapter that the run starts from. */
  readonly peft: PeftAdapter | undefined;
}

/**
 * The head of a classifier or of a reward model: that of the adapter which it starts from, one that is given, or a new one.
 *
 * @throws REWARD_HEAD
 */
export function placeHead(
  engine: Engine,
  { source, dataset: { classes }, peft }: HeadInputs,
  { method, train: { seed } }: Pick<RunConfig, 'method' | 'train'>,
): (Classifier & { readonly score: Handle }) | undefined {
  const { hiddenSize } = source.config;
  const place = (count: number, stored: StoredTensor | undefined) =>
    engine.upload(
      stored === undefined ? initialScore(count, hiddenSize, seed) : { stored: [stored], shape: stored.shape },
    );
  if (method.kind === 'reward') {
    const given = method.rewardHead === undefined ? undefined : givenHead(method.rewardHead, hiddenSize);
    return { kind: 'reward', classes: 1, score: place(1, given ?? peft?.score) };
  }
  if (classes === undefined || method.kind !== 'classify') return undefined;
  const { kind, names } = classes;
  const weights = classWeights(classes, method.classWeights);
  return { kind, classes: names.length, weights, score: place(names.length, peft?.score) };
}

function givenHead(file: string, width: number): StoredTensor {
  const { tensors } = readSafetensorsHeader(file);
  const head = tensors.find(({ name }) => name === SCORE_TENSOR);
  if (head !== undefined && String(head.shape) === `1,${width}`) return head;
  const found = head === undefined ? tensors.map(({ name }) => name).join(', ') : `${SCORE_TENSOR} [${head.shape}]`;
  throw new TunesmithError('REWARD_HEAD', {
    file,
    message: `holds ${found}, and ${SCORE_TENSOR} [1,${width}] is needed.`,
  });
}

/**
 * Holds the head of an adapter that a run starts from against what the run is to give.
 *
 * @throws ADAPTER_MISMATCH for a head over other labels, CLASSIFIER_MISSING for one that does not say over which, REWARD_USE
 */
export function requireSameHead(
  folder: string,
  { method }: Pick<RunConfig, 'method'>,
  classes: Classes | undefined,
): void {
  if (method.kind === 'reward' && isRewardModel(folder)) return;
  const { kind, labels } = readClassifier(folder);
  if (kind === classes?.kind && String(labels) === String(classes.names)) return;
  throw new TunesmithError('ADAPTER_MISMATCH', {
    file: folder,
    message: `tells apart ${labels.join(', ')}, and the rows have ${classes?.names.join(', ') ?? 'no labels'}.`,
    fix: 'train rows with the same labels, or start without this adapter',
  });
}
