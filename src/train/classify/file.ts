import { join } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../../errors/index.ts';
import {
  fileExists,
  readJson,
  readSafetensorsHeader,
  readStored,
  writeAtomic,
  writeSafetensors,
} from '../../io/index.ts';
import type { Likeness } from './likeness.ts';

const ClassifierFile = z.strictObject({
  version: z.literal(2),
  kind: z.enum(['single', 'multi', 'reward']),
  labels: z.array(z.string()).min(1),
  calibration: z
    .strictObject({
      temperature: z.number().positive(),
      precision: z.number(),
      thresholds: z.array(z.number().nullable()),
      distance: z.number(),
      rows: z.int(),
    })
    .nullable(),
});

/** What stands beside the weights of a classifier in classifier.json: its labels in the order of the head's rows, and what validation rows said. A reward model has one, `reward`. */
export type ClassifierFile = z.infer<typeof ClassifierFile>;

const NAME = 'classifier.json';
/** What the rows that trained were like, for a classifier that is calibrated. */
const LIKENESS = 'likeness.safetensors';

/** Writes classifier.json into a folder of weights, and beside it what a calibrated classifier is told of the rows that trained. */
export function writeClassifier(folder: string, file: Omit<ClassifierFile, 'version'>, likeness?: Likeness): void {
  if (likeness !== undefined) {
    const tensors = (['factor', 'means'] as const).map((name) => {
      const rows = likeness[name];
      const data = Float32Array.from(rows.flatMap((row) => [...row]));
      return { name, type: 'F32' as const, shape: [rows.length, rows[0]!.length], data };
    });
    writeSafetensors(join(folder, LIKENESS), tensors);
  }
  writeAtomic(join(folder, NAME), `${JSON.stringify({ version: 2, ...file }, null, 2)}\n`);
}

/** classifier.json of what gives labels. */
export type LabelFile = ClassifierFile & { readonly kind: 'single' | 'multi' };

/** Reads classifier.json of a folder of weights that give labels. @throws CLASSIFIER_MISSING, CLASSIFIER_FILE, REWARD_USE */
export function readClassifier(folder: string): LabelFile {
  const { kind, ...file } = readHead(folder);
  if (kind !== 'reward') return { ...file, kind };
  throw new TunesmithError('REWARD_USE', { file: folder, message: 'is a reward model, which gives no labels.' });
}

/** What the rows were like that a calibrated classifier trained on. @throws CLASSIFIER_FILE */
export function readLikeness(folder: string): Likeness {
  const file = join(folder, LIKENESS);
  const tensors = fileExists(file) ? readSafetensorsHeader(file).tensors : [];
  const rowsOf = (name: string) => {
    const stored = tensors.find((tensor) => tensor.name === name);
    if (stored?.shape.length !== 2) {
      throw new TunesmithError('CLASSIFIER_FILE', { file, message: `does not hold the ${name} of what trained.` });
    }
    const [rows, width] = stored.shape as [number, number];
    const values = readStored(stored);
    return Array.from({ length: rows }, (_, i) => Float64Array.from(values.subarray(i * width, (i + 1) * width)));
  };
  return { factor: rowsOf('factor'), means: rowsOf('means') };
}

/** Whether a folder of weights holds a reward model. @throws CLASSIFIER_FILE */
export function isRewardModel(folder: string): boolean {
  return fileExists(join(folder, NAME)) && readHead(folder).kind === 'reward';
}

/** Whether a folder of weights is that of a classifier. */
export function hasClassifier(folder: string): boolean {
  return fileExists(join(folder, NAME));
}

/** Reads classifier.json of a folder of weights. @throws CLASSIFIER_MISSING, CLASSIFIER_FILE */
function readHead(folder: string): ClassifierFile {
  const file = join(folder, NAME);
  if (!hasClassifier(folder)) {
    throw new TunesmithError('CLASSIFIER_MISSING', { file: folder, message: `holds no ${NAME}.` });
  }
  const parsed = ClassifierFile.safeParse(readJson(file));
  const fits =
    parsed.data?.calibration == null || parsed.data.calibration.thresholds.length === parsed.data.labels.length;
  if (parsed.success && fits) return parsed.data;
  const issue = parsed.error?.issues[0];
  const message =
    issue === undefined ? 'has thresholds for other labels.' : `${issue.path.join('.')}: ${issue.message}.`;
  throw new TunesmithError('CLASSIFIER_FILE', { file, message });
}
