import { basename } from 'node:path';
import { actText } from '../evaluate/budget-words.ts';
import { isEvaluated, QUICK_SUITE } from '../registry/evaluate-run.ts';
import type { Activity } from '../train/activity.ts';
import type { TrainEvent } from '../train/events.ts';
import { isAligned, rowsTogether } from '../train/objective.ts';
import { classificationText } from './classification.ts';
import type { Context } from './command.ts';
import type { PreparedRun, RunRequest, TrainPlan } from './domain.ts';
import { forgettingText } from './forgetting.ts';
import { bytesText, countText, curve, durationText, lossText, table } from './format.ts';
import { shrinkHeap } from './heap.ts';
import { openActivityLine, openProgress, type Progress } from './progress.ts';
import { rewardText, winText } from './rewards.ts';
import { domain } from './wiring.ts';

/** Prepares a run and shows how its cost is measured. */
export async function prepare(request: RunRequest, { terminal }: Context): Promise<PreparedRun> {
  const line = openActivityLine(terminal);
  const show = (activity: Activity) => {
    // All is read now, and what is measured includes this process.
    if (activity.kind === 'measure' && activity.done === 0) shrinkHeap();
    line.show(activity);
  };
  try {
    return await domain.prepareRun(request, show);
  } finally {
    line.end();
  }
}

/** What the evaluation at the end of a run costs; nothing where it is left out. */
export function evaluationCost({ plan, config }: PreparedRun): { items: number; minutes: number } | undefined {
  if (!isEvaluated(config)) return undefined;
  return { items: QUICK_SUITE.items, minutes: (QUICK_SUITE.tokens * plan.forwardSecondsPerToken) / 60 };
}

/** What a run will cost, in words. */
export function planText(run: PreparedRun): string {
  const { plan } = run;
  const evaluation = evaluationCost(run);
  const rows = [
    ['rows', rowsText(plan)],
    ['tokens', `${countText(plan.tokens)} an epoch, ${countText(plan.supervisedTokens)} of them with loss`],
    ['steps', countText(plan.steps)],
    ['trains', `${countText(plan.trainableParameters)} parameters`],
    ['time', `about ${durationText(plan.minutes * 60)}`],
    ['memory', `${bytesText(plan.peakMemoryBytes)} at the peak (${memoryText(plan)})`],
    ['disk', bytesText(plan.diskBytes)],
    ...(evaluation === undefined ? [] : [['evaluation', evaluationText(evaluation)]]),
  ];
  const automatic = Object.entries(plan.automatic).map(
    ([path, { value, why }]) => `  ${path} = ${JSON.stringify(value)} (automatic: ${why})`,
  );
  const cheaper = plan.cheaper !== undefined ? [`Cheaper: ${plan.cheaper}`] : [];
  return [table(rows), ...automatic, ...cheaper].join('\n');
}

function evaluationText({ items, minutes }: { readonly items: number; readonly minutes: number }): string {
  const each = durationText(minutes * 60);
  return `about ${each} in the end, and ${each} more for a base that was never asked: ${countText(items)} items and the held-out rows (--no-eval leaves it out)`;
}

function rowsText({ method, rows, validRows, replay }: TrainPlan): string {
  const kind = method === 'pretrain' ? 'blocks of documents ' : rowsTogether({ kind: method }) === 2 ? 'pairs ' : '';
  const text = `${countText(rows)} ${kind}to train on, ${countText(validRows)} to validate`;
  if (replay === undefined) return text;
  return `${text}, ${countText(replay.rows)} to replay (${replay.perStep.toFixed(2)} a step, ${countText(replay.tokens)} tokens in all)`;
}

function memoryText({ predictedMemoryBytes, measuredMemoryBytes }: TrainPlan): string {
  return `predicted ${bytesText(predictedMemoryBytes)}, ${bytesText(measuredMemoryBytes)} measured in two steps on the longest rows`;
}

/** What came of a run that was watched. */
export interface Watched {
  readonly done: (TrainEvent & { type: 'done' }) | undefined;
  readonly losses: readonly number[];
}

/**
 * Runs a prepared run to its end: machine lines, or a live bar with loss, tokens/s and time left.
 *
 * @param finish what follows once the run is done, before that is told
 */
export async function watchRun(
  run: PreparedRun,
  context: Context,
  finish: () => Promise<void> = async () => {},
): Promise<Watched> {
  const { terminal, signal } = context;
  const progress = openProgress(terminal, 'train');
  const line = openActivityLine(terminal);
  const show = (activity: Activity) => {
    // One line is redrawn at a time; the bar comes back with the next step.
    progress.stop();
    line.show(activity);
  };
  const losses: number[] = [];
  let first: { readonly step: number; readonly at: number } | undefined;
  let done: Watched['done'];
  try {
    for await (const event of run.start(signal, show)) {
      line.end();
      if (event.type === 'done') {
        progress.stop();
        done = event;
        await finish();
      }
      terminal.emit(event);
      if (event.type === 'step') {
        losses.push(event.loss);
        // The first step compiles its programs, so the pace is measured from its end; until then the plan says it.
        first ??= { step: event.step, at: Date.now() };
        const done = event.step - first.step;
        const pace = done === 0 ? (run.plan.minutes * 60) / run.plan.steps : (Date.now() - first.at) / 1000 / done;
        const left = durationText(pace * (run.plan.steps - event.step));
        const speed = `${countText(event.tokensPerSecond)} tokens/s`;
        const loss = `loss ${lossText(event.loss)}${answersText(event.metrics)}`;
        const text = `step ${event.step}/${run.plan.steps} · ${loss} · ${speed} · ${left} left`;
        progress.update(event.step, run.plan.steps, text);
      } else if (event.type !== 'done') tell(event, progress, run.plan.method);
    }
  } finally {
    line.end();
    progress.stop();
  }
  return { done, losses };
}

function tell(
  event: Exclude<TrainEvent, { type: 'step' | 'done' }>,
  progress: Progress,
  method: TrainPlan['method'],
): void {
  if (event.type === 'eval') {
    const bits = event.bitsPerByte === undefined ? '' : `, ${event.bitsPerByte.toFixed(3)} bits per byte`;
    const { reward, win_rate: wins } = event.metrics ?? {};
    const used = event.metrics?.['forget/used'];
    const spent = used === undefined ? '' : ` · ${Math.round(100 * used)} % of the forgetting budget`;
    const what =
      reward === undefined
        ? `validation loss ${lossText(event.loss)}${bits}${spent}${answersText(event.metrics)}`
        : `mean reward ${reward.toFixed(3)} on held-out prompts, ${Math.round(100 * (wins ?? 0))} % wins against the start`;
    progress.say(`step ${event.step}: ${what}`);
  } else if (event.type === 'sample')
    progress.say(`step ${event.step}: ${brief(event.prompt)} -> ${brief(event.text)}`);
  else if (event.type === 'report' && isRewarded(method)) return;
  else if (event.type === 'report') {
    const { bitsPerByte: bits } = event;
    const more = bits === undefined ? '' : `; ${bits.before.toFixed(3)} and ${bits.after.toFixed(3)} bits per byte`;
    const words = `rows that were used for nothing else: loss ${lossText(event.before)} before, ${lossText(event.after)} after`;
    progress.say(words + more);
  } else if (event.type === 'classification') progress.say(classificationText(event));
  else if (event.type === 'reward') progress.say(rewardText(event));
  else if (event.type === 'act') progress.say(actText(event));
  else if (event.type === 'forgetting') progress.say(forgettingText(event));
  else if (event.type === 'win-rate') progress.say(winText(event));
  else if (event.type === 'warning') progress.say(`warning ${event.code} ${event.message}`);
}

/** Log-probabilities of preferred and of other answers, each for itself: their difference alone may grow while both fall. */
function answersText(metrics: Readonly<Record<string, number>> = {}): string {
  const [chosen, rejected] = [metrics['logps/chosen'], metrics['logps/rejected']];
  const accuracy = metrics['rewards/accuracies'] ?? metrics.accuracy;
  const { reward, 'completions/mean_length': length } = metrics;
  const parts = [
    ...(chosen === undefined ? [] : [` · chosen ${chosen.toFixed(2)}`]),
    ...(rejected === undefined ? [] : [` · rejected ${rejected.toFixed(2)}`]),
    ...(reward === undefined ? [] : [` · reward ${reward.toFixed(3)}`]),
    ...(length === undefined ? [] : [` · ${length.toFixed(0)} tokens an answer`]),
    ...(accuracy === undefined ? [] : [` · ${Math.round(100 * accuracy)} % told apart`]),
  ];
  return parts.join('');
}

/** Whether the loss of held-out rows is but their reward with the sign changed, which is told as such. */
function isRewarded(method: TrainPlan['method']): boolean {
  return method === 'grpo' || method === 'rloo';
}

/** One line of a text that may have many. */
function brief(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

function unitOf(method: TrainPlan['method']): string {
  if (isAligned({ kind: method })) return '';
  return `, nats per ${method === 'classify' ? 'row' : 'token'}`;
}

/** What runs are for that write no text. */
const USES: Partial<Record<TrainPlan['method'], string>> = {
  classify: 'Use it:       tunesmith classify RUN --text "..."',
  reward: 'Use it:       tunesmith score RUN --data FILE',
};

/** The end of a run: the curve, where it lies, what to do next. */
export function summaryText(run: PreparedRun, watched: Watched, columns: number): string {
  const name = basename(run.path);
  const lines: string[] = [];
  if (watched.losses.length > 1) {
    lines.push(
      `loss by step${unitOf(run.plan.method)}\n${curve(watched.losses, { columns: columns - 12, rows: 8 })}\n`,
    );
  }
  const { done } = watched;
  if (done !== undefined) lines.push(`Done after ${done.steps} steps.`, `  best  ${done.best}`, `  last  ${done.last}`);
  const use = USES[run.plan.method] ?? 'Talk to it:   tunesmith chat RUN';
  return [...lines, '', use.replace('RUN', name), `Look at it:   tunesmith runs show ${name}`].join('\n');
}
