import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { openReference } from '../engine/index.ts';
import { uploadAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import { openPeft } from '../model/peft.ts';
import { openModelSource } from '../model/source.ts';
import { f32 } from '../tensor/tensor.ts';
import { IGNORE } from '../text/index.ts';
import { createNetwork, weighedMicroStep } from '../train/network.ts';
import { mismatched } from './mismatched.ts';
import { type Judged, type PreferenceMethod, rowRule } from './rules.ts';
import {
  type Answered,
  answered,
  answerTokens,
  lossesByRow,
  type Scored,
  scoreAnswers,
  scoreOf,
  withPrompt,
} from './scored.ts';
import { batchFacts } from './totals.ts';

const golden = path.join(import.meta.dirname, '../../test/golden/llama');
const engine = openReference();
const source = openModelSource(path.join(golden, 'model'));
const base = uploadBase(engine, source.config, source.tensors);
const adapter = uploadAdapter(engine, source, openPeft(path.join(golden, 'adapter'), source.config, 'CAUSAL_LM'));
const net = createNetwork({ engine, base, adapter });
const signal = new AbortController().signal;

function answerOf(prompt: readonly number[], answer: readonly number[]): Answered {
  return answered({
    ids: Int32Array.from([...prompt, ...answer]),
    labels: Int32Array.from([...prompt.map(() => IGNORE), ...answer]),
  });
}
const pair = [answerOf([5, 9, 14], [20, 31, 2]), answerOf([5, 9, 14], [44, 2])];

const METHODS: readonly PreferenceMethod[] = [
  { kind: 'dpo', loss: 'sigmoid', beta: 0.1, labelSmoothing: 0.1, rpoAlpha: 0.5 },
  { kind: 'dpo', loss: 'sigmoid_norm', beta: 0.1 },
  { kind: 'kto', loss: 'kto', beta: 0.1 },
  { kind: 'orpo', beta: 0.1 },
  { kind: 'cpo', loss: 'ipo', beta: 0.1, cpoAlpha: 1 },
  { kind: 'simpo', beta: 2, gamma: 0.5, cpoAlpha: 0 },
];

describe('the gradient of preferences', () => {
  test.each(METHODS)('of $kind $loss is that of finite differences', async (method) => {
    const answers =
      method.kind === 'orpo' ? [withPrompt(pair[0]!), pair[1]!] : method.kind === 'kto' ? [pair[0]!] : pair;
    const facts = { ...batchFacts(answers, method.kind === 'kto' ? 1 : 2), kl: 0.3 };
    const rule = rowRule(method);
    const judge = (scored: readonly Scored[]): Judged[] =>
      scored.map((one, i) => ({ ...one, reference: -11 - 2 * i, isGood: true }));
    const examples = answers.map(({ example }) => example);
    const [plan] = planMicroBatches(
      examples.map(({ ids }) => ids.length),
      { pack: true, together: answers.length },
    );
    const batch = buildMicroBatch(examples, plan!);
    const step = await weighedMicroStep(net, batch, 1, (nll) => {
      const rows = [...lossesByRow(batch, nll)];
      const { slopes } = rule(judge(rows.map((row) => scoreOf(answers[row.row]!, row.nll))), facts);
      return Float32Array.from(
        rows.flatMap(({ row }) =>
          answerTokens(answers[row]!).map((isAnswer) => -(slopes[row]!.text + (isAnswer ? slopes[row]!.answer : 0))),
        ),
      );
    });
    const [layer, name] = [1, net.trained.layers[1]!.find((one) => one.includes('lora_B'))!];
    const gradient = (await engine.read(step.layers[layer]![name]!)).data as Float32Array;
    const old = net.layers[layer]![name]!;
    const { data, shape } = await engine.read(old);
    const lossAt = async (index: number, by: number) => {
      const moved = Float32Array.from(data as Float32Array);
      moved[index]! += by;
      net.layers[layer]![name] = engine.upload(f32(moved, shape));
      const { loss } = rule(judge(await scoreAnswers(net, answers, signal)), facts);
      net.layers[layer]![name] = old;
      return loss;
    };
    const most = gradient.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    expect(most).toBeGreaterThan(0);
    for (const index of [0, 7, 33]) {
      const measured = ((await lossAt(index, 1e-3)) - (await lossAt(index, -1e-3))) / 2e-3;
      expect(Math.abs(measured - gradient[index]!)).toBeLessThan(2e-3 * most);
    }
  });
});

describe('answers of other rows', () => {
  test('come from the row before that asks something else, and are cut where positions end', () => {
    const rows = [answerOf([1, 2], [3]), answerOf([1, 2], [4, 5]), answerOf([6], [7, 8, 9])];
    const ids = (most: number) => mismatched(rows, most).map(({ example }) => [...example.ids]);
    expect(ids(100)).toEqual([
      [1, 2, 7, 8, 9],
      [1, 2, 7, 8, 9],
      [6, 4, 5],
    ]);
    expect(ids(3)[0]).toEqual([1, 2, 7]);
  });
});
