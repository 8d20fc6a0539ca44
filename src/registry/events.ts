import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { readText } from '../io/files.ts';
import type { TrainEvent } from '../train/events.ts';

const Ability = z.looseObject({ generalText: z.number(), suite: z.number().optional() });
const CurvePoint = z.looseObject({
  ...Ability.shape,
  step: z.int(),
  strength: z.number(),
  loss: z.number(),
  used: z.number(),
});

/** Enough of each event to be read safely; fields that a newer version adds pass through. */
const Event = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('step'),
    step: z.int(),
    loss: z.number(),
    gradNorm: z.number(),
    lr: z.number(),
    tokens: z.number(),
    tokensPerSecond: z.number(),
    metrics: z.record(z.string(), z.number()).optional(),
  }),
  z.looseObject({
    type: z.literal('eval'),
    step: z.int(),
    loss: z.number(),
    tokens: z.number(),
    bitsPerByte: z.number().optional(),
    metrics: z.record(z.string(), z.number()).optional(),
  }),
  z.looseObject({
    type: z.literal('sample'),
    step: z.int(),
    index: z.int(),
    prompt: z.string(),
    text: z.string(),
  }),
  z.looseObject({ type: z.literal('checkpoint'), step: z.int(), path: z.string() }),
  z.looseObject({ type: z.literal('warning'), code: z.string(), message: z.string() }),
  z.looseObject({
    type: z.literal('report'),
    before: z.number(),
    after: z.number(),
    tokens: z.number(),
    bitsPerByte: z.object({ before: z.number(), after: z.number() }).optional(),
  }),
  z.looseObject({
    type: z.literal('classification'),
    rows: z.int(),
    accuracy: z.number(),
    macroF1: z.number(),
    calibrationError: z.number(),
    classes: z.array(
      z.looseObject({
        label: z.string(),
        precision: z.number(),
        recall: z.number(),
        f1: z.number(),
        support: z.int(),
        threshold: z.number().nullable(),
      }),
    ),
    confusion: z.union([z.array(z.array(z.int())), z.array(z.array(z.array(z.int())))]),
    baseline: z.looseObject({ labels: z.array(z.string()), accuracy: z.number(), macroF1: z.number() }),
  }),
  z.looseObject({
    type: z.literal('win-rate'),
    rows: z.int(),
    before: z.number(),
    after: z.number(),
    winRate: z.number(),
    interval: z.tuple([z.number(), z.number()]),
  }),
  z.looseObject({
    type: z.literal('reward'),
    pairs: z.int(),
    accuracy: z.number(),
    interval: z.tuple([z.number(), z.number()]),
    logLoss: z.number(),
    calibrationError: z.number(),
    length: z.looseObject({
      pairs: z.int(),
      preferred: z.number().nullable(),
      rewarded: z.number().nullable(),
      correlation: z.number(),
    }),
  }),
  z.looseObject({
    type: z.literal('act'),
    step: z.int(),
    act: z.enum(['replay', 'kl', 'rate', 'stop']),
    used: z.number(),
  }),
  z.looseObject({
    type: z.literal('forgetting'),
    budget: z.looseObject({ generalText: z.number().optional(), suite: z.number().optional() }),
    start: Ability,
    points: z.array(CurvePoint).min(1),
    chosen: CurvePoint,
    isKept: z.boolean(),
    report: z.looseObject({ before: z.number(), after: z.number() }),
  }),
  z.looseObject({ type: z.literal('done'), steps: z.int(), best: z.string(), last: z.string() }),
]) satisfies z.ZodType<TrainEvent>;

/**
 * Reads an events.jsonl. A last line that a killed process left torn is left out; events of unknown types too.
 *
 * @throws RUN_BROKEN for any other line that is no event, FILE_NOT_FOUND
 */
export function readEvents(path: string): { readonly events: TrainEvent[]; readonly torn: boolean } {
  const text = readText(path);
  const lines = text.split('\n');
  const tail = lines.pop() ?? '';
  const events = lines.flatMap((line, i) => (line.trim() === '' ? [] : parseEvent(line, path, i + 1)));
  return { events, torn: tail !== '' };
}

const TYPES: ReadonlySet<unknown> = new Set(Event.options.map((one) => one.shape.type.value));

function parseEvent(line: string, file: string, number: number): TrainEvent[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new TunesmithError('RUN_BROKEN', { message: 'is not an event.', file, line: number, cause });
  }
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  if (typeof type === 'string' && !TYPES.has(type)) return [];
  const event = Event.safeParse(value);
  if (event.success) return [event.data];
  const why = event.error.issues[0];
  throw new TunesmithError('RUN_BROKEN', {
    message: `is not an event: ${why?.path.join('.')} ${why?.message ?? ''}.`,
    file,
    line: number,
  });
}
