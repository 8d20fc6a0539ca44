import { dirname, join } from 'node:path';
import { TunesmithError } from '../../errors/index.ts';
import { fileExists, folderExists } from '../../io/index.ts';
import { uploadAdapter } from '../../model/adapter-handles.ts';
import { uploadBase } from '../../model/base.ts';
import { openPeft } from '../../model/peft.ts';
import { baseHash, openModelSource } from '../../model/source.ts';
import { IGNORE, openText } from '../../text/index.ts';
import { isRewardModel } from '../../train/classify/file.ts';
import { SCORE_TENSOR } from '../../train/classify/head.ts';
import type { RunContext } from '../../train/context.ts';
import { createNetwork } from '../../train/network.ts';
import { rowRenderer } from '../../train/rows.ts';
import { baseWeightsOf, readFrozen } from '../../train/run.ts';
import { rewardsOf } from '../reward/session.ts';
import { answered, rewarded } from '../scored.ts';
import type { AnswerToReward, Reward } from './rewards.ts';

/** Whether a name is that of a folder of weights with a reward head. */
export function isRewardFolder(name: string): boolean {
  return folderExists(name) && isRewardModel(name);
}

/**
 * Opens a reward model in the engine of a run. An adapter on the run's own base shares its weights.
 *
 * @param folder of weights: `best/` of a run, one of its checkpoints, or a whole model
 */
export async function openRewardModel(folder: string, run: RunContext): Promise<Reward> {
  const { engine } = run;
  const owner = [dirname(folder), dirname(dirname(folder))].find((path) => fileExists(join(path, 'config.json')));
  const isAdapter = fileExists(join(folder, 'adapter_config.json'));
  if (isAdapter && owner === undefined) {
    throw new TunesmithError('REWARD_UNKNOWN', {
      file: folder,
      message: 'is an adapter outside of its run, whose base is not known.',
    });
  }
  const frozen = isAdapter ? readFrozen(owner!) : undefined;
  const source = openModelSource(frozen?.facts.base.path ?? folder, 'SEQ_CLS');
  const peft = isAdapter ? openPeft(folder, source.config, 'SEQ_CLS') : undefined;
  const head = peft?.score ?? source.tensors.get(SCORE_TENSOR);
  if (head === undefined) throw new TunesmithError('REWARD_UNKNOWN', { file: folder, message: 'holds no head.' });
  const isOwn = isAdapter && (await baseHash(source)) === run.facts.base.sha256;
  // Weights that train in full are no longer those of the base.
  const base =
    isOwn && run.net.adapter !== undefined
      ? run.base
      : uploadBase(engine, source.config, source.tensors, frozen === undefined ? 'f32' : baseWeightsOf(frozen.config));
  const score = engine.upload({ stored: [head], shape: head.shape });
  const adapter = peft && uploadAdapter(engine, source, peft);
  const net = createNetwork({ engine, base, adapter, classifier: { kind: 'reward', classes: 1, score } });
  const text =
    isOwn || source.text === undefined
      ? run.text
      : { ...run.text, ...openText(source.text, { now: new Date(run.facts.text.clock) }) };
  const render = rowRenderer({ ...text, trainOn: 'last' }, 'train');
  const example = ({ prompt: { row }, text: said, ids }: AnswerToReward) => {
    if (row.kind === 'messages') {
      const messages = [...row.messages, { role: 'assistant', content: said } as const];
      return rewarded(answered(render({ ...row, messages })[0]!));
    }
    if (row.kind === 'prompt') return rewarded(answered(render({ ...row, completion: said })[0]!));
    if (row.kind !== 'ids') throw new Error('internal: a text without an answer is rewarded');
    const whole = Int32Array.from([...row.ids, ...ids]);
    return {
      example: { ids: whole, labels: new Int32Array(whole.length).fill(IGNORE), classes: [] },
      answerFrom: row.ids.length,
    };
  };
  return {
    name: 'model',
    needsReference: false,
    score: (answers, signal) => rewardsOf(net, answers.map(example), signal),
  };
}
