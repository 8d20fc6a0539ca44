/**
 * `npm run bench -- dpo [--data FILE] [--pairs N] [--held N] [--batch N] [--longest N] [--lr X] [--threads N] [--only tunesmith|trl] [--out DIR]`: DPO over LoRA r 16
 * on all linear layers of SmolLM2-135M, through us and through TRL, on the same token ids in the same order, one pass. Prints the share of held-out pairs
 * told apart with its interval, real tokens per second (the reference's passes are part of the time), peaks, and ratios.
 *
 * FILE holds {prompt, chosen, rejected} (a prompt may be messages), or rows of finegrained_rlhf_qa: there the prompt is the question after as much of the first
 * passage as fits. Pairs of one prompt stay on one side of the split. With --out both sides' results are kept there, and a side that is there is not run again.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { permutation } from '../src/math/random.ts';
import { shareInterval } from '../src/math/stats.ts';
import { openModelSource } from '../src/model/source.ts';
import { type Message, openText, renderExamples } from '../src/text/index.ts';
import { baseModelPath } from '../test/support/base-model.ts';
import { peerPython } from './train.ts';

/** A pair as token ids, answers with the token that ends the turn. */
export interface IdPair {
  readonly prompt_ids: readonly number[];
  readonly chosen_ids: readonly number[];
  readonly rejected_ids: readonly number[];
}

/** What both sides are given. */
export interface DpoWorkload {
  readonly train: readonly IdPair[];
  readonly held: readonly IdPair[];
  readonly batch: number;
  readonly beta: number;
  readonly rate: number;
}

/** What one side measured. */
export interface DpoSide {
  readonly seconds: number;
  /** Real ones, of one pass over both answers of all pairs, prompts included. */
  readonly tokens: number;
  readonly peakBytes: number;
  readonly losses: readonly number[];
  /** Of each held-out pair: how much the log-ratio of its chosen answer lies above that of the rejected one, in nats. */
  readonly margins: readonly number[];
}

interface TextPair {
  readonly prompt: readonly Message[];
  readonly chosen: string;
  readonly rejected: string;
}

const BETA = 0.1;
const FINEGRAINED = join(import.meta.dirname, '../../shared/data/finegrained_rlhf_qa/public.jsonl');
/** Characters of the passage before a question. */
const PASSAGE = 300;

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string', default: FINEGRAINED },
      pairs: { type: 'string', default: '64' },
      held: { type: 'string', default: '64' },
      batch: { type: 'string', default: '8' },
      longest: { type: 'string', default: '256' },
      lr: { type: 'string', default: '1e-4' },
      threads: { type: 'string' },
      python: { type: 'string' },
      only: { type: 'string' },
      out: { type: 'string' },
    },
  });
  const gguf = baseModelPath();
  if (gguf === undefined) throw new Error('the base model is not there: npm run tunesmith -- pull');
  const folder = values.out ?? mkdtempSync(join(tmpdir(), 'tunesmith-bench-'));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'workload.json');
  const counts = { pairs: +values.pairs, held: +values.held, longest: +values.longest };
  const workload: DpoWorkload = {
    ...drawPairs(values.data, gguf, counts),
    batch: +values.batch,
    beta: BETA,
    rate: +values.lr,
  };
  writeFileSync(file, JSON.stringify(workload));
  const threads = values.threads ?? String(availableParallelism());
  const kept = (name: string, run: () => DpoSide): DpoSide | undefined => {
    const result = join(folder, `${name}.json`);
    if (!existsSync(result)) {
      if (values.only !== undefined && values.only !== name) return undefined;
      writeFileSync(result, JSON.stringify(run()));
    }
    return JSON.parse(readFileSync(result, 'utf8')) as DpoSide;
  };
  console.log(
    `${workload.train.length} pairs in steps of ${workload.batch}, ${workload.held.length} held out (${threads} threads)`,
  );
  const ours = kept('tunesmith', () =>
    side(process.execPath, [join(import.meta.dirname, 'dpo-ours.ts'), gguf, file, threads]),
  );
  if (ours !== undefined) print('tunesmith', ours, undefined);
  const script = join(import.meta.dirname, 'peers', 'trl', 'dpo.py');
  const trl = kept('trl', () => side(values.python ?? peerPython(), [script, gguf, file, threads]));
  if (trl !== undefined) print('TRL', trl, ours);
}

function print(label: string, side: DpoSide, ours: DpoSide | undefined): void {
  const { peakBytes, losses, margins } = side;
  const rate = ({ tokens, seconds }: DpoSide) => tokens / seconds;
  const right = margins.filter((margin) => margin > 0).length;
  const [low, high] = shareInterval(right, margins.length).map((x) => (100 * x).toFixed(0));
  const share = `${((100 * right) / margins.length).toFixed(1)} % of held-out pairs (${low} to ${high})`;
  const cost = `${rate(side).toFixed(1)} tokens/s  ${(peakBytes / 1e9).toFixed(2)} GB`;
  console.log(`  ${label.padEnd(10)} ${share}  ${cost}  loss ${losses[0]?.toFixed(4)} to ${losses.at(-1)?.toFixed(4)}`);
  if (ours === undefined) return;
  const [speed, memory] = [rate(ours) / rate(side), ours.peakBytes / peakBytes];
  console.log(`             ours is ${speed.toFixed(2)} x its rate at ${memory.toFixed(2)} of its peak`);
}

function side(command: string, args: readonly string[]): DpoSide {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as DpoSide;
}

/** Pairs short enough, in an order of their own, no prompt on both sides. */
function drawPairs(data: string, gguf: string, { pairs, held, longest }: Record<'pairs' | 'held' | 'longest', number>) {
  const { tokenizer, template } = openText(openModelSource(gguf).text!, { now: new Date(0) });
  const render = (prompt: readonly Message[], answer: string) => {
    const messages = [...prompt, { role: 'assistant', content: answer } as const];
    const { ids, labels } = renderExamples(messages, undefined, { tokenizer, template: template!, trainOn: 'last' })
      .examples[0]!;
    const [from, to] = [labels.findIndex((label) => label >= 0), labels.findLastIndex((label) => label >= 0) + 1];
    return { prompt: [...ids.slice(0, from)], answer: [...ids.slice(from, to)] };
  };
  const groups = readFileSync(data, 'utf8')
    .trim()
    .split('\n')
    .map((line) =>
      pairsOf(JSON.parse(line) as Record<string, unknown>).flatMap(({ prompt, chosen, rejected }): IdPair[] => {
        const [good, bad] = [render(prompt, chosen), render(prompt, rejected)];
        const length = good.prompt.length + Math.max(good.answer.length, bad.answer.length);
        if (length > longest) return [];
        return [{ prompt_ids: good.prompt, chosen_ids: good.answer, rejected_ids: bad.answer }];
      }),
    );
  const shuffled = [...permutation(0, 'subset', 0, groups.length)].map((i) => groups[i]!);
  const cut = shuffled.findIndex((_, i) => shuffled.slice(0, i).flat().length >= held);
  if (cut < 0) throw new Error(`${data} holds too few pairs of at most ${longest} tokens`);
  const trained = shuffled.slice(cut).flat();
  const order = [...permutation(0, 'order', 0, trained.length)].map((i) => trained[i]!);
  return { train: order.slice(0, pairs), held: shuffled.slice(0, cut).flat().slice(0, held) };
}

/** The comparisons of a row of finegrained_rlhf_qa, in the order in which it lists them. */
const COMPARED = [
  [1, 2],
  [1, 3],
  [1, 4],
  [2, 3],
  [2, 4],
  [3, 4],
] as const;

function pairsOf(row: Record<string, unknown>): TextPair[] {
  if (!('preference' in row)) {
    const { prompt, chosen, rejected } = row as { prompt: string | Message[]; chosen: string; rejected: string };
    const asked = typeof prompt === 'string' ? [{ role: 'user', content: prompt } as const] : prompt;
    return [{ prompt: asked, chosen, rejected }];
  }
  const { question, passages, preference } = row as {
    question: string;
    passages: string[][];
    preference: number[];
  };
  const passage = (passages[0] ?? []).slice(1).join(' ').replaceAll(/\s+/g, ' ').slice(0, PASSAGE);
  const prompt = [{ role: 'user', content: `${passage}\n\n${question}` }] as const;
  return preference.flatMap((better, i) => {
    if (better === 0) return [];
    const [one, other] = COMPARED[i]!.map((n) => row[`prediction ${n}`] as string) as [string, string];
    return one === other ? [] : [{ prompt, chosen: better === 1 ? one : other, rejected: better === 1 ? other : one }];
  });
}
