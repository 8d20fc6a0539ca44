import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkFiles } from '../../src/data/check/index.ts';
import { permutation } from '../../src/math/random.ts';
import { type Chat, DEFECTS, LABEL_DEFECTS, openDraw } from './inject.ts';
import { measurePersonal } from './personal.ts';
import { measureSpeed } from './speed.ts';

/** Rows that are injected with each kind, and rows of each source that are used. */
const EACH = 10;
const ROWS = 700;

/**
 * How much of what is wrong `data check` finds, and how much of what it says is right: defects of known kinds are injected into real rows
 * by seed, and the findings are held against them. `--data` is a folder of public data sets; nothing of them is kept.
 */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string', default: '../shared/data' },
      seed: { type: 'string', default: '0' },
      speed: { type: 'string' },
    },
  });
  if (values.speed !== undefined) return measureSpeed(values.data, Number(values.speed));
  const folder = mkdtempSync(join(tmpdir(), 'data-quality-'));
  try {
    await measureChats(values.data, Number(values.seed), folder);
    await measureLabels(values.data, Number(values.seed), folder);
    measurePersonal(join(values.data, 'pii_presidio', 'public.jsonl'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows of several sources as conversations. */
function chats(data: string): Chat[] {
  const read = (file: string) =>
    readFileSync(join(data, file), 'utf8')
      .trim()
      .split('\n')
      .slice(0, ROWS)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const pair =
    (asked: string, given: string) =>
    (row: Record<string, unknown>): Chat => ({
      messages: [
        { role: 'user', content: String(row[asked]) },
        { role: 'assistant', content: String(row[given]) },
      ],
    });
  return [
    ...read('dolly_hhrlhf_1k/train.jsonl').map(pair('instruction', 'response')),
    ...read('medquad/train.jsonl').map(pair('question', 'answer')),
    ...read('gsm8k/train.jsonl').map(pair('question', 'answer')),
  ].filter(({ messages }) => messages.every((m) => m.content.trim() !== ''));
}

interface Truth {
  readonly name: string;
  readonly codes: readonly string[];
}

async function measureChats(data: string, seed: number, folder: string): Promise<void> {
  const rows = chats(data);
  const clean = join(folder, 'clean.jsonl');
  writeFileSync(clean, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  // What is found before anything is injected stands in the data as they came: it is neither right nor wrong here.
  const before = new Set(
    (await checkFiles([clean])).groups.flatMap((g) =>
      g.findings.map((f) => `${f.code} ${rows[(f.line ?? 0) - 1]?.messages[0]?.content}`),
    ),
  );
  const order = permutation(seed, 'inject', 0, rows.length);
  const replaced = new Map<number, { line: string; truth: Truth }>();
  const added: { line: string; truth: Truth }[] = [];
  const heldOut: string[] = [
    JSON.stringify({
      messages: [
        { role: 'user', content: 'What is held out?' },
        { role: 'assistant', content: 'Rows to test with.' },
      ],
    }),
  ];
  let next = 0;
  for (const { name, codes, make } of DEFECTS) {
    for (let count = 0; count < EACH && next < order.length; next++) {
      const row = order[next]!;
      const made = make(rows[row]!, openDraw(seed, name, row, rows));
      if (made === undefined) continue;
      count++;
      const item = { line: made.line, truth: { name, codes } };
      if (made.beside === true) added.push(item);
      else replaced.set(row, item);
      if (made.heldOut !== undefined) heldOut.push(made.heldOut);
    }
  }
  const lines = [...rows.map((row, i) => replaced.get(i) ?? { line: JSON.stringify(row), truth: undefined }), ...added];
  const file = join(folder, 'injected.jsonl');
  const test = join(folder, 'held-out.jsonl');
  writeFileSync(file, `${lines.map(({ line }) => line).join('\n')}\n`);
  writeFileSync(test, `${heldOut.join('\n')}\n`);
  const report = await checkFiles([file], { heldOut: [test] });
  console.log(`${lines.length} conversations, ${replaced.size + added.length} of them injected`);
  const findings = report.groups.flatMap((g) => g.findings);
  for (const { name, codes, mechanical } of DEFECTS) {
    const own = lines.flatMap((line, i) => (line.truth?.name === name ? [i + 1] : []));
    const found = own.filter((line) => findings.some((f) => f.line === line && codes.includes(f.code)));
    tell(name, found.length, own.length, mechanical ? 0.95 : 0.6);
  }
  const questionOf = (line: number | undefined) => {
    try {
      return (JSON.parse(lines[(line ?? 0) - 1]?.line ?? '') as Chat).messages[0]?.content;
    } catch {
      return undefined;
    }
  };
  for (const severity of ['error', 'warning', 'review'] as const) {
    const all = findings.filter((f) => f.severity === severity && f.line !== undefined);
    const fresh = all.filter(
      (f) => lines[f.line! - 1]?.truth !== undefined || !before.has(`${f.code} ${questionOf(f.line)}`),
    );
    const right = fresh.filter(
      (f) => lines[f.line! - 1]?.truth !== undefined || f.related.some((line) => lines[line - 1]?.truth !== undefined),
    );
    const strict = right.filter((f) => lines[f.line! - 1]?.truth?.codes.includes(f.code));
    console.log(
      `precision of ${severity}s: ${ratio(right.length, fresh.length)} (of the very kind injected: ${ratio(strict.length, fresh.length)}; ${all.length - fresh.length} more were there before)`,
    );
    for (const f of fresh)
      if (!right.includes(f)) console.log(`  not injected: ${f.code} ${f.message} ${f.quote ?? ''}`);
  }
  const cut = findings.filter((f) => f.code === 'DATA_CUT_OFF');
  const cutRight = cut.filter((f) => lines[f.line! - 1]?.truth?.name === 'truncated answer');
  console.log(
    `precision of DATA_CUT_OFF among its first ${2 * EACH}: ${ratio(cut.slice(0, 2 * EACH).filter((f) => cutRight.includes(f)).length, Math.min(cut.length, 2 * EACH))}`,
  );
}

async function measureLabels(data: string, seed: number, folder: string): Promise<void> {
  const banking = readFileSync(join(data, 'banking77', 'train.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const at = line.lastIndexOf(',');
      return at < 0 || line.startsWith('"') ? [] : [{ text: line.slice(0, at), label: line.slice(at + 1).trim() }];
    });
  const spam = readFileSync(join(data, 'sms_spam', 'train.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { text: string; label: string });
  for (const [name, all] of Object.entries({ banking77: banking.slice(0, 5000), sms_spam: spam })) {
    const labels = [...new Set(all.map((row) => row.label))];
    const order = permutation(seed, 'labels', 0, all.length);
    const wrong = Math.round(0.05 * all.length);
    const truth = new Map<number, string>();
    const rows = [...all];
    for (const [k, { name: kind, make }] of LABEL_DEFECTS.entries()) {
      const places = k === 0 ? order.slice(0, wrong) : order.slice(wrong, wrong + EACH);
      for (const row of places) {
        truth.set(row + 1, kind);
        rows[row] = { ...rows[row]!, label: make(rows[row]!.label, labels, openDraw(seed, kind, row, [])) };
      }
    }
    const file = join(folder, `${name}.jsonl`);
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const findings = (await checkFiles([file])).groups.flatMap((g) => g.findings);
    console.log(`${name}: ${rows.length} rows, ${wrong} labels made wrong`);
    for (const { name: kind, codes } of LABEL_DEFECTS) {
      const own = [...truth].flatMap(([line, what]) => (what === kind ? [line] : []));
      const found = own.filter((line) => findings.some((f) => f.line === line && codes.includes(f.code)));
      tell(kind, found.length, own.length, kind === 'wrong label' ? 0.6 : 0.95);
      const said = findings.filter((f) => f.code === codes[0]);
      console.log(
        `  precision of ${codes[0]}: ${ratio(said.filter((f) => truth.get(f.line ?? 0) === kind).length, said.length)}`,
      );
    }
  }
}

function tell(name: string, found: number, all: number, goal: number): void {
  const share = all === 0 ? 1 : found / all;
  console.log(`  ${name.padEnd(24)} recall ${ratio(found, all)}${share < goal ? `  BELOW ${goal}` : ''}`);
}

function ratio(part: number, whole: number): string {
  return whole === 0 ? 'none' : `${(part / whole).toFixed(3)} (${part} of ${whole})`;
}
