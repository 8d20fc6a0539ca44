/** Our side of `npm run bench -- dpo`, in a process of its own so that its memory is its own. Arguments: GGUF WORKLOAD THREADS */
import { readFileSync } from 'node:fs';
import { rowRule } from '../src/align/rules.ts';
import { answered, scoreAnswers } from '../src/align/scored.ts';
import { preferenceStep } from '../src/align/step.ts';
import { TARGET_TOKENS } from '../src/data/index.ts';
import { openOrt } from '../src/engine/index.ts';
import { openModelSource } from '../src/model/source.ts';
import { createLora } from '../src/train/lora-network.ts';
import { initialState } from '../src/train/step.ts';
import type { DpoSide, DpoWorkload, IdPair } from './dpo.ts';

const [gguf, file, threads] = process.argv.slice(2) as [string, string, string];
const { train, held, batch, beta, rate } = JSON.parse(readFileSync(file, 'utf8')) as DpoWorkload;
const engine = openOrt({ device: 'cpu', threads: Number(threads), optimize: 'on' });
const net = createLora(engine, openModelSource(gguf), { rank: 16, alpha: 32, dropout: 0, targets: 'all-linear' });
const constants = { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;
const optimizer = { constants, weightDecay: 0, loraPlusRatio: 1, seed: 0 };
const state = initialState(net, optimizer);
const { signal } = new AbortController();

const answersOf = (pairs: readonly IdPair[]) =>
  pairs.flatMap(({ prompt_ids: prompt, chosen_ids: chosen, rejected_ids: rejected }) =>
    [chosen, rejected].map((answer) =>
      answered({
        ids: Int32Array.from([...prompt, ...answer]),
        labels: Int32Array.from([...prompt.map(() => -100), ...answer]),
      }),
    ),
  );
const logps = async (answers: ReturnType<typeof answersOf>) =>
  (await scoreAnswers(net, answers, signal)).map(({ logp }) => logp);
const [answers, heldAnswers] = [answersOf(train), answersOf(held)];
const heldBefore = await logps(heldAnswers);

const start = performance.now();
const reference = await logps(answers);
const rule = rowRule({ kind: 'dpo', loss: 'sigmoid', beta });
const losses: number[] = [];
for (let from = 0; from < train.length; from += batch) {
  const own = answers.slice(2 * from, 2 * (from + batch));
  const { loss } = await preferenceStep(
    net,
    state,
    {
      answers: own,
      together: 2,
      rule,
      judge: (i, scored) => ({ ...scored, reference: reference[2 * from + i]! }),
      kl: undefined,
    },
    {
      optimizer,
      clip: 1,
      lr: rate,
      step: losses.length + 1,
      describeRows: () => 'bench',
      microBatch: { pack: true, share: true, targetTokens: TARGET_TOKENS },
    },
  );
  losses.push(loss);
}
await engine.sync();
const seconds = (performance.now() - start) / 1000;
const peakBytes = (await engine.stats()).peakBytes + process.resourceUsage().maxRSS * 1024;
const heldAfter = await logps(heldAnswers);
await engine.close();
const gains = heldAfter.map((logp, i) => logp - heldBefore[i]!);
const margins = held.map((_, i) => gains[2 * i]! - gains[2 * i + 1]!);
const tokens = answers.reduce((n, { example }) => n + example.ids.length, 0);
console.log(JSON.stringify({ seconds, tokens, peakBytes, losses, margins } satisfies DpoSide));
