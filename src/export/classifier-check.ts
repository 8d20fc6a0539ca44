import { type Engine, openModelFile } from '../engine/index.ts';
import { uploadAdapter } from '../model/adapter-handles.ts';
import { type BaseHandles, uploadBase } from '../model/base.ts';
import { type Example, IGNORE } from '../text/index.ts';
import { classLogits } from '../train/classify/predict.ts';
import { createNetwork } from '../train/network.ts';
import { type Trial, uploadMerged } from './check.ts';
import { compareLogits, type Difference } from './compare.ts';
import { goldenPrompts } from './golden.ts';
import { i64 } from './program-check.ts';
import type { ExportedClassifier, ExportJob, ReadBack } from './types.ts';

/** Classifies the golden texts with the classifier that was trained, with merged weights, and with what was written, and compares the logits. */
export async function compareClassifiers(
  engine: Engine,
  job: ExportJob,
  classifier: ExportedClassifier,
  { model }: ReadBack,
  { rest, threads, onStep }: Trial,
): Promise<{ readonly merged: Difference; readonly exported: Difference }> {
  if (model.kind !== 'program') throw new Error('internal: a classifier was not written as a program');
  const { source, adapter, tools } = job;
  const { tokenizer } = tools;
  const classes = classifier.labels.length;
  const examples = goldenPrompts(tokenizer === undefined ? {} : { tokenizer }, undefined, source.config).ids.map(
    (ids): Example => {
      return { ids: Int32Array.from(ids), labels: new Int32Array(ids.length).fill(IGNORE), classes: [] };
    },
  );
  const logitsOf = async (base: BaseHandles, own?: ReturnType<typeof uploadAdapter>) => {
    const score = engine.upload({ stored: [classifier.score], shape: classifier.score.shape });
    const net = createNetwork({ engine, base, adapter: own, classifier: { kind: classifier.kind, classes, score } });
    const rows: Float32Array[] = [];
    for await (const row of classLogits(net, examples)) rows.push(row.map((value) => value / classifier.temperature));
    return rows;
  };
  const base = uploadBase(engine, source.config, source.tensors, rest);
  const trained = await logitsOf(base, adapter && uploadAdapter(engine, source, adapter));
  onStep();
  const merged = compareLogits(trained, await logitsOf(await uploadMerged(engine, job.merged)), classes);
  onStep();
  const written = await programRows(model.path, threads, examples, classes);
  return { merged, exported: compareLogits(trained, written, classes) };
}

/** Logits [K] of each text, all in one batch with padding behind the shorter ones. */
async function programRows(
  path: string,
  threads: number,
  examples: readonly Example[],
  classes: number,
): Promise<Float32Array[]> {
  const file = openModelFile(path, threads);
  try {
    const length = Math.max(...examples.map(({ ids }) => ids.length));
    const padded = (cell: (id: number) => number) =>
      examples.flatMap(({ ids }) => Array.from({ length }, (_, i) => (i < ids.length ? cell(ids[i]!) : 0)));
    const shape = [examples.length, length];
    const { logits } = await file.run({
      input_ids: i64(
        padded((id) => id),
        shape,
      ),
      attention_mask: i64(
        padded(() => 1),
        shape,
      ),
    });
    const data = logits!.data as Float32Array;
    return examples.map((_, i) => data.slice(i * classes, (i + 1) * classes));
  } finally {
    await file.close();
  }
}
