/**
 * `npm run bench -- false-alarms --run RUN [--home DIR] [--swaps 1000] [--out FILE]`: lets a run and its base answer the quick suite (answers that are kept are
 * not asked again), swaps the two at random item by item, and counts how often the suite says "forgot". --out keeps the marks, as test/golden has them.
 */
import { writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openSubject } from '../src/evaluate/subject.ts';
import { quickSuite } from '../src/evaluate/tasks.ts';
import { answersFolder } from '../src/registry/evaluate-run.ts';
import { findModel } from '../src/registry/find.ts';
import { answeredOf, falseAlarms, generalVerdicts, type RecordedTask } from '../test/support/false-alarms.ts';

/** Measures and prints. */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      run: { type: 'string' },
      home: { type: 'string', default: join(homedir(), '.cache', 'tunesmith') },
      swaps: { type: 'string', default: '1000' },
      out: { type: 'string' },
    },
  });
  if (values.run === undefined) throw new Error('--run RUN names what is measured');
  const recorded = await record(values.run, values.home);
  const answered = answeredOf(recorded);
  const swaps = Number(values.swaps);
  console.log(`as it is: ${generalVerdicts(answered).join(', ')}`);
  const alarms = falseAlarms(answered, swaps);
  console.log(`swapped at random ${swaps} times: "forgot" ${alarms} times, ${((100 * alarms) / swaps).toFixed(1)} %`);
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(recorded)}\n`);
}

async function record(run: string, home: string): Promise<RecordedTask[]> {
  const subject = await openSubject(await findModel(run, { home }), answersFolder(home));
  const signal = AbortSignal.timeout(3_600_000);
  const recorded: RecordedTask[] = [];
  try {
    for (const task of quickSuite()) {
      if (task.kind !== 'choice' && task.kind !== 'text') continue;
      const [base, tuned] = [
        await subject.base().answer(task, signal, () => {}),
        await subject.answer(task, signal, () => {}),
      ];
      const marks = (results: typeof base) => results.map(({ value }) => Number(value.toPrecision(7)));
      recorded.push({ name: task.name, kind: task.kind, role: 'general', base: marks(base), tuned: marks(tuned) });
    }
  } finally {
    await subject.close();
  }
  return recorded;
}
