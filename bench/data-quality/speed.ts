import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkFiles } from '../../src/data/check/index.ts';
import { openAppender } from '../../src/io/files.ts';
import { randomInteger } from './random.ts';

/** Passages of words as they follow one another in real rows; by the row, and the passage within it. */
export function passages(data: string): (row: number, k: number, words: number) => string {
  const words = readFileSync(join(data, 'dolly_hhrlhf_1k', 'train.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .flatMap((line) => (JSON.parse(line) as { response: string }).response.split(/\s+/));
  return (row, k, n) => {
    const at = randomInteger(0, 'words', row, k, words.length - n);
    return words
      .slice(at, at + n)
      .join(' ')
      .slice(0, 40 + 4 * n);
  };
}

/** Seconds to check rows of at most 300 characters whose words follow one another as in real rows. */
export async function measureSpeed(data: string, count: number): Promise<void> {
  const draw = passages(data);
  const folder = mkdtempSync(join(tmpdir(), 'data-speed-'));
  try {
    const file = join(folder, 'rows.jsonl');
    const appender = openAppender(file);
    for (let from = 0; from < count; from += 10_000) {
      const lines: string[] = [];
      for (let i = from; i < Math.min(count, from + 10_000); i++) {
        const passage = (k: number, n: number) => draw(i, k, n);
        // Pieces of several places, so that rows are no near-duplicates of each other.
        const prompt = `${passage(0, 5)} ${passage(1, 5)}`.slice(0, 100);
        const response = `${passage(2, 8)} ${passage(3, 8)} ${passage(4, 8)}`.slice(0, 200);
        lines.push(`${JSON.stringify({ prompt, response: `${response}.` })}\n`);
      }
      appender.append(lines.join(''));
    }
    appender.close();
    const cpu = process.cpuUsage();
    const start = performance.now();
    const report = await checkFiles([file]);
    const seconds = (performance.now() - start) / 1000;
    const used = process.cpuUsage(cpu);
    console.log(
      `${report.rows} rows in ${seconds.toFixed(1)} s (${((used.user + used.system) / 1e6).toFixed(1)} s of CPU), peak ${(process.resourceUsage().maxRSS / 1e6).toFixed(2)} GB`,
    );
    console.log(report.groups.map((g) => `${g.code} ${g.count}`).join(', '));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
