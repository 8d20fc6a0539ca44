import { dirname, join, resolve } from 'node:path';
import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import {
  type Appender,
  createFolderAtomic,
  folderExists,
  makeFolder,
  openAppender,
  openTensorboard,
  readStored,
  recoverFolder,
  remove,
  removePartials,
  type TensorboardWriter,
  type TensorToWrite,
  writeAtomic,
  writeFolderAtomic,
} from '../io/index.ts';
import { HEAD_TENSOR } from '../model/adapter.ts';
import { writeAddedTokens } from '../model/added-tokens.ts';
import { writeModelFolder } from '../model/folder.ts';
import { writePeft } from '../model/peft.ts';
import { expectedTensors } from '../model/weights.ts';
import type { Example } from '../text/example.ts';
import {
  loadTrained,
  newestCheckpoint,
  type Progress,
  pruneCheckpoints,
  readProgress,
  readTrained,
  restoreCheckpoint,
  saveCheckpoint,
} from './checkpoint.ts';
import { writeClassifier } from './classify/file.ts';
import { taskOf } from './classify/place.ts';
import { reportClassifier } from './classify/report.ts';
import { type RunContext, START } from './context.ts';
import { meanLoss } from './evaluate-loss.ts';
import type { TrainEvent } from './events.ts';
import { type Evaluated, type LoopEnd, type LoopHooks, trainLoop } from './loop.ts';
import type { AlignedSession } from './objective.ts';
import { bitsPerByte, rowExamples, stepExamples, trainedExamples } from './pretrain/pretraining.ts';
import { type Ema, openEma } from './retain/ema.ts';
import { type Guard, openGuard } from './retain/guard.ts';
import { keepBudget } from './retain/keep.ts';
import { withGenerated } from './retain/self-replay.ts';
import { beginHolding, type HeldSteps } from './retain/session.ts';
import { abilityOf, guarded } from './retain/tracked.ts';
import { openRowLog, type RowLog } from './row-log.ts';
import { holdRun } from './run-lock.ts';
import { answerSamples, samplePrompts } from './samples.ts';
import { initialState, type OptimizerState } from './step.ts';

/**
 * Runs a prepared run to its end or to its interruption: the folder, the loop, the report. Yields what it writes to events.jsonl; the last
 * event is `done` unless the run was interrupted, and then it can be resumed.
 */
export async function* executeRun(run: RunContext, signal: AbortSignal): AsyncGenerator<TrainEvent> {
  const release = run.release ?? (await writeRunFolder(run));
  try {
    yield* runFrom(run, signal);
  } catch (error) {
    // Before the first step and after the last one nothing need be saved: it is measured again.
    if (!signal.aborted || error !== signal.reason) throw resumable(error, run.path);
  } finally {
    release();
  }
}

/** What mends the surroundings of a run that broke off. */
const MENDING: Partial<Record<ErrorCode, string>> = {
  DISK_FULL: 'free some space',
  ENGINE_GONE: 'close other programs',
  FILE_WRITE_FAILED: 'make the folder writable again',
};

/** A disk that is full, a folder or an engine that is gone ends a run that can go on: its last checkpoint is whole. */
function resumable(error: unknown, run: string): unknown {
  if (!(error instanceof TunesmithError)) return error;
  const { code, details } = error;
  const mending = MENDING[code];
  if (mending === undefined) return error;
  return new TunesmithError(code, {
    ...details,
    fix: `${mending}, then: tunesmith train --resume ${run}`,
    cause: error,
  });
}

async function* runFrom(prepared: RunContext, signal: AbortSignal): AsyncGenerator<TrainEvent> {
  const run = await withGenerated(prepared, signal);
  makeFolder(join(run.path, 'checkpoints'));
  removePartials(run.path);
  removePartials(join(run.path, 'checkpoints'));
  for (const name of ['best', 'last']) recoverFolder(join(run.path, name));
  const state = initialState(run.net, run.frozen.loop.optimizer);
  const checkpoint = run.isResumed ? newestCheckpoint(run.path) : undefined;
  const session = await run.dataset.aligned?.begin(run, state, signal);
  // What was forgotten is held against the model as the run starts, which a run that goes on has left behind.
  const known = checkpoint === undefined ? undefined : readProgress(checkpoint).guard;
  const write = (folder: string, tensors: readonly TensorToWrite<'F32'>[]) => writeTuned(run, folder, tensors);
  const guard = await openGuard(run, known, write, signal);
  const heldSteps = await beginHolding(run, state, guard, signal);
  const progress =
    checkpoint === undefined ? await firstProgress(run, session, signal) : restored(run, state, checkpoint);
  const log = openAppender(join(run.path, 'events.jsonl'), progress.eventBytes);
  const rowLog = openRowLog(run.path, run.dataset, progress.rowBytes);
  const board = run.frozen.config.output.log === 'tensorboard' ? openBoard(run, progress.step) : undefined;
  try {
    const record = createRecorder(log, progress.eventBytes, board);
    const warnings = [...(checkpoint === undefined ? run.dataset.warnings : []), ...run.warnings];
    if (checkpoint !== undefined) yield record.write({ type: 'checkpoint', step: progress.step, path: checkpoint });
    yield* warnings.map((warning) => record.write({ type: 'warning', ...warning }));
    const { ema: decay } = run.frozen.config.train;
    const ema = decay === undefined ? undefined : openEma(run.net, decay, checkpoint);
    const hooks = createHooks({ run, session, ema, guard, heldSteps, state, first: progress, record, rowLog });
    const examples = trainedExamples(run.dataset).map(({ example }) => example);
    const loop = trainLoop(run.net, state, examples, run.frozen.loop, hooks, progress, signal);
    let next = await loop.next();
    for (; !next.done; next = await loop.next()) yield record.write(next.value);
    if (next.value.kind === 'done') yield* finish(run, session, guard, next.value, progress, record, signal);
  } finally {
    log.close();
    rowLog.close();
    board?.close();
  }
}

interface Recorder {
  write(event: TrainEvent): TrainEvent;
  /** Bytes of events.jsonl. */
  bytes(): number;
}

function openBoard({ path, isResumed }: RunContext, step: number): TensorboardWriter {
  const now = () => Date.now() / 1000;
  return openTensorboard(join(path, 'tensorboard'), { now, ...(isResumed ? { resumeStep: step + 1 } : {}) });
}

/** The names that dashboards for transformers and TRL expect. */
function drawCurves(board: TensorboardWriter, event: TrainEvent): void {
  if (event.type === 'eval') {
    board.scalar('eval/loss', event.step, event.loss);
    if (event.bitsPerByte !== undefined) board.scalar('eval/bits_per_byte', event.step, event.bitsPerByte);
    for (const [name, value] of Object.entries(event.metrics ?? {})) board.scalar(`eval/${name}`, event.step, value);
  }
  if (event.type !== 'step') return;
  for (const [name, value] of Object.entries(event.metrics ?? {})) board.scalar(`train/${name}`, event.step, value);
  board.scalar('train/loss', event.step, event.loss);
  board.scalar('train/grad_norm', event.step, event.gradNorm);
  board.scalar('train/learning_rate', event.step, event.lr);
  board.scalar('train/tokens_per_second', event.step, event.tokensPerSecond);
}

function createRecorder(log: Appender, bytes: number, board: TensorboardWriter | undefined): Recorder {
  let size = bytes;
  return {
    write(event) {
      size = log.append(`${JSON.stringify(event)}\n`);
      if (board !== undefined) drawCurves(board, event);
      return event;
    },
    bytes: () => size,
  };
}

/**
 * A run's folder is there whole or not at all, so that a run can be resumed from the moment at which it has one; it is held from that moment.
 *
 * @returns what gives the run free
 * @throws RUN_EXISTS
 */
async function writeRunFolder(run: RunContext): Promise<() => void> {
  const { path, frozen, facts, origins, dataset } = run;
  const countOf = (part: 'train' | 'select' | 'report') => dataset.aligned?.sizes[part].length ?? dataset[part].length;
  const counts = { train: countOf('train'), select: countOf('select'), report: countOf('report') };
  // A run goes on from any working directory.
  const files = dataset.files.map((file) => ({ ...file, path: resolve(file.path) }));
  const data = { files, counts, splitSeed: frozen.config.train.seed };
  const config = { ...frozen.config, frozen: facts, origins };
  let release = () => {};
  makeFolder(dirname(path));
  const isNew = await createFolderAtomic(path, async (folder) => {
    makeFolder(join(folder, 'checkpoints'));
    if (config.initAdapter !== undefined) await writeStart(run, join(folder, START));
    if (run.newModel !== undefined) {
      makeFolder(join(folder, START));
      run.newModel.write(join(folder, START));
    }
    writeAtomic(join(folder, 'data.json'), `${JSON.stringify(data, null, 2)}\n`);
    writeAtomic(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    writeAtomic(join(folder, 'events.jsonl'), '');
    release = holdRun(path, folder);
  });
  if (isNew) return release;
  throw new TunesmithError('RUN_EXISTS', {
    file: path,
    message: 'is there already.',
    fix: `continue it with --resume ${path}, or choose another --name`,
  });
}

/** A run can start again from its first step when the adapter that it started from is gone. */
async function writeStart(run: RunContext, folder: string): Promise<void> {
  makeFolder(folder);
  writeTuned(run, folder, await readTrained(run.net));
}

/** A run begins with the base model's loss on the reporting rows. What classifies has no such base: its head is new. */
async function firstProgress(
  run: RunContext,
  session: AlignedSession | undefined,
  signal: AbortSignal,
): Promise<Progress> {
  const hasBase = run.dataset.classes === undefined && run.dataset.report.length > 0;
  const base = hasBase ? await reportLoss(run, session, 'baseline', signal) : undefined;
  return {
    step: 0,
    eventBytes: 0,
    rowBytes: 0,
    best: undefined,
    sinceBest: 0,
    pendingEval: run.dataset.select.length > 0,
    reportBase: base,
  };
}

async function reportLoss(
  run: RunContext,
  session: AlignedSession | undefined,
  kind: 'baseline' | 'report',
  signal: AbortSignal,
): Promise<{ readonly loss: number; readonly tokens: number }> {
  if (session === undefined) {
    const examples = run.dataset.report.map(({ example }) => example);
    return meanLoss(run.net, examples, signal, { ...run, kind });
  }
  const { loss, tokens } = await session.evaluate('report', kind, signal);
  return { loss, tokens };
}

function restored(run: RunContext, state: OptimizerState, checkpoint: string): Progress {
  restoreCheckpoint(checkpoint, run.net, state);
  return readProgress(checkpoint);
}

/** What the hooks of a run are made of. */
interface Begun {
  readonly run: RunContext;
  readonly session: AlignedSession | undefined;
  readonly heldSteps: HeldSteps | undefined;
  readonly ema: Ema | undefined;
  readonly guard: Guard | undefined;
  readonly state: OptimizerState;
  readonly first: Progress;
  readonly record: Recorder;
  readonly rowLog: RowLog;
}

function createHooks({ run, session, heldSteps, ema, guard, state, first, record, rowLog }: Begun): LoopHooks {
  const { net, dataset, path, frozen } = run;
  const select = dataset.select.map(({ example }) => example);
  const trained = trainedExamples(dataset);
  const asked = net.classifier === undefined ? rowExamples(dataset, 'select') : [];
  const prompts = samplePrompts(
    asked.map(([first]) => first!.row),
    run.text,
  );
  const write = (folder: string, tensors: readonly TensorToWrite<'F32'>[]) => writeTuned(run, folder, tensors);
  const keepAs = async (name: 'best' | 'last', tensors: readonly TensorToWrite<'F32'>[]) =>
    writeFolderAtomic(join(path, name), (folder) => write(folder, tensors));
  const averaged = <T>(work: () => Promise<T>): Promise<T> => (ema === undefined ? work() : ema.during(work));
  return {
    evaluate:
      select.length === 0
        ? undefined
        : (signal) => averaged(() => guarded(guard, signal, () => evaluate(run, session, select, signal))),
    afterStep: ema?.update,
    betweenEvaluations: guard && ((step) => averaged(() => guard.look(step))),
    afterEvaluation:
      guard &&
      (async (step, { loss, metrics = {} }) => {
        const ability = abilityOf(metrics);
        return guard.evaluated({ step, loss, ...ability }, await averaged(() => readTrained(net)));
      }),
    onRows: rowLog.write,
    rate: guard?.rate,
    isStopped: guard?.isStopped,
    takeStep: session?.takeStep ?? heldSteps,
    stepExamples: stepExamples(dataset, frozen.loop.order),
    sample: (signal) => averaged(() => answerSamples(run, prompts, signal)),
    saveBest: async () => keepAs('best', await averaged(() => readTrained(net))),
    save: async (progress) => {
      const sizes = { eventBytes: record.bytes(), rowBytes: rowLog.bytes() };
      const full = { ...progress, ...sizes, reportBase: first.reportBase, guard: guard?.state() };
      const mean = await ema?.tensors();
      const { path: saved, tensors } = await saveCheckpoint(path, net, state, full, (folder, own) => {
        write(folder, own);
        if (mean !== undefined) ema?.write(folder, mean);
      });
      await keepAs('last', mean ?? tensors);
      pruneCheckpoints(path, frozen.config.output.keep);
      return saved;
    },
    describeRow: (index) => {
      const { file, line } = trained[index]!.row.source;
      return `${file}:${line}`;
    },
    now: () => performance.now(),
  };
}

/** The loss on the selecting rows, and of documents that by their bytes. */
async function evaluate(
  run: RunContext,
  session: AlignedSession | undefined,
  select: readonly Example[],
  signal: AbortSignal,
): Promise<Evaluated> {
  if (session !== undefined) return session.evaluate('select', 'evaluate', signal);
  const result = await meanLoss(run.net, select, signal, { ...run, kind: 'evaluate' });
  const bytes = run.dataset.pretraining?.bytes.select;
  return bytes === undefined ? result : { ...result, bitsPerByte: bitsPerByte(result, bytes) };
}

/** Writes what was trained as a folder that other programs load: PEFT's layout, or Hugging Face's. */
function writeTuned(run: RunContext, folder: string, tensors: readonly TensorToWrite<'F32'>[]): void {
  const { net, dataset } = run;
  const { hubId, sha256 } = run.facts.base;
  const { classes } = dataset;
  const task = taskOf(run.frozen.config);
  const classifier =
    net.classifier?.kind === 'reward'
      ? { kind: 'reward' as const, labels: ['reward'] }
      : classes && { kind: classes.kind, labels: [...classes.names] };
  const { adapter } = net;
  if (adapter === undefined) writeModelFolder(folder, run.source, withFrozen(run, tensors), classifier);
  else {
    const { spec, constants } = adapter;
    writePeft(folder, spec, tensors, { baseModel: hubId, baseHash: sha256 }, { task, constants });
    writeAddedTokens(folder, run.source);
  }
  // Only the best checkpoint is calibrated, once the run is over.
  if (classifier !== undefined) writeClassifier(folder, { ...classifier, calibration: null });
}

/** A whole model: what trained, and what stayed as it was. */
function withFrozen({ source, net }: RunContext, trained: readonly TensorToWrite<'F32'>[]): TensorToWrite<'F32'>[] {
  const names = new Set(trained.map(({ name }) => name));
  const isLeft = (name: string) => !names.has(name) && !(net.classifier !== undefined && name === HEAD_TENSOR);
  const frozen = [...expectedTensors(source.config)].filter(([name]) => isLeft(name));
  return [
    ...trained,
    ...frozen.map(([name, shape]) => {
      const data = () => readStored(source.tensors.get(name)!);
      return { name, type: 'F32' as const, shape, data };
    }),
  ];
}

async function* finish(
  run: RunContext,
  session: AlignedSession | undefined,
  guard: Guard | undefined,
  { steps }: Extract<LoopEnd, { kind: 'done' }>,
  { reportBase }: Progress,
  record: Recorder,
  signal: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const [best, last] = [join(run.path, 'best'), join(run.path, 'last')];
  // Without validation rows the last is the best there is.
  if (!folderExists(best)) {
    loadTrained(last, run.net);
    const tensors = await readTrained(run.net);
    await writeFolderAtomic(best, (folder) => writeTuned(run, folder, tensors));
  }
  if (guard !== undefined) {
    const write = (folder: string, tensors: readonly TensorToWrite<'F32'>[]) => writeTuned(run, folder, tensors);
    yield record.write(await keepBudget(run, guard, { folder: best, write }, signal));
  }
  if (run.dataset.report.length > 0 && reportBase !== undefined) {
    loadTrained(best, run.net);
    const tuned = await reportLoss(run, session, 'report', signal);
    const bytes = run.dataset.pretraining?.bytes.report;
    const bits =
      bytes === undefined ? undefined : { before: bitsPerByte(reportBase, bytes), after: bitsPerByte(tuned, bytes) };
    const losses = { before: reportBase.loss, after: tuned.loss, tokens: tuned.tokens };
    yield record.write({ type: 'report', ...losses, ...(bits === undefined ? {} : { bitsPerByte: bits }) });
    if (session?.finish !== undefined) for await (const event of session.finish(signal)) yield record.write(event);
  }
  const { classes } = run.dataset;
  if (classes !== undefined) {
    for await (const event of reportClassifier(run, classes, best, signal)) yield record.write(event);
  }
  const done = record.write({ type: 'done', steps, best, last });
  // Until then a run that goes on may have to choose once more.
  remove(join(run.path, 'candidates'));
  yield done;
}
