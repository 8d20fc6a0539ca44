import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { createNetwork, type Network } from '../train/network.ts';
import { choiceIds, scoreChoices, sharedRows } from './likelihood.ts';
import { openTextOf, openWeights, tokenizerOf } from './open.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'tunesmith-likelihood-'));
let net: Network;
let tokenizer: ReturnType<typeof tokenizerOf>;

beforeAll(async () => {
  const model = { path: writeTinyChatModel(folder), compute: { threads: 1 } };
  const opened = openTextOf(model);
  tokenizer = tokenizerOf(opened);
  const { engine, base } = await openWeights(model, opened.source);
  net = createNetwork({ engine, base });
});
afterAll(async () => {
  await net.engine.close();
  rmSync(folder, { recursive: true });
});

async function scoresOf(choices: readonly string[], context = 'The sky'): Promise<readonly number[]> {
  for await (const { scores } of scoreChoices(
    net,
    tokenizer,
    [{ context, choices, gold: 0 }],
    AbortSignal.timeout(60_000),
  ))
    return scores;
  throw new Error('no scores');
}

describe('likelihood', () => {
  it('choices that share their context score as each alone', async () => {
    const choices = [' is', ' it', ' isle', ' am'];
    const together = await scoresOf(choices);
    for (const [i, choice] of choices.entries()) expect((await scoresOf([choice]))[0]).toBeCloseTo(together[i]!, 4);
  });

  it('choices that differ in their last token only share one row', async () => {
    const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id);
    const [first] = choiceIds({ context: 'ab', choices: ['c'] }, tokenizer);
    const context = first!.ids.slice(0, first!.from);
    const rows = sharedRows(
      ids.map((id) => ({ ids: [...context, id], from: context.length })),
      0,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]!.targets).toHaveLength(ids.length);
  });

  it('spaces at the end of a context belong to the choice', () => {
    expect(choiceIds({ context: 'a ', choices: ['b'] }, tokenizer)).toEqual(
      choiceIds({ context: 'a', choices: [' b'] }, tokenizer),
    );
  });

  it('an empty context is the token that begins a text', () => {
    const [only] = choiceIds({ context: '', choices: ['ab'] }, tokenizer);
    expect(only).toEqual({ ids: [tokenizer.bosId, ...tokenizer.encode('ab')], from: 1 });
  });
});
