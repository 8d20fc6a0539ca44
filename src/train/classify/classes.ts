import {
  countLabels,
  createFindingLog,
  type FindingGroup,
  type Render,
  type Row,
  type Split,
} from '../../data/index.ts';
import { type Example, IGNORE, renderRawPrompt } from '../../text/index.ts';
import { requireTemplate, requireTokenizer, type TextSetup } from '../rows.ts';

/** The classes that rows are told apart by. */
export interface Classes {
  readonly kind: 'single' | 'multi';
  /** In the order of the head's rows: sorted by name. */
  readonly names: readonly string[];
  /** Training rows of each, and of all. */
  readonly counts: readonly number[];
  readonly rows: number;
}

/** What came of looking at the labels of all rows. */
export interface FoundClasses {
  readonly classes: Classes;
  readonly findings: readonly FindingGroup[];
}

/** The classes are those of the training rows; labels that contradict that are findings. */
export function findClasses(
  { train, select, report }: Pick<Split, 'train' | 'select' | 'report'>,
  allow: readonly string[],
): FoundClasses {
  const log = createFindingLog(allow);
  const counts = countLabels(train);
  const held = [...select, ...report].sort((a, b) =>
    a.source.file === b.source.file ? a.source.line - b.source.line : 0,
  );
  const first = train.find((row) => row.labelled !== undefined) ?? held[0];
  const kind = first?.labelled?.kind ?? 'single';
  for (const row of [...train, ...held]) {
    if (row.labelled === undefined || row.labelled.kind === kind) continue;
    const [own, other] = kind === 'single' ? ['labels', 'label'] : ['label', 'labels'];
    const message = `has ${own}, and ${first!.source.file}:${first!.source.line} has ${other}.`;
    log.add({ code: 'DATA_LABEL_MIXED', ...row.source, message });
  }
  for (const { labelled, source } of held) {
    for (const name of labelled?.names ?? []) {
      if (counts.has(name)) continue;
      log.add({ code: 'DATA_LABEL_UNSEEN', ...source, message: `has the label "${name}", which no training row has.` });
    }
  }
  if (first !== undefined && counts.size < (kind === 'single' ? 2 : 1)) {
    const only = [...counts.keys()][0];
    const message = only === undefined ? 'holds no label.' : `holds one label only, "${only}".`;
    log.add({ code: 'DATA_LABEL_ONE', file: first.source.file, message });
  }
  for (const [name, count] of counts) {
    const row = count < 2 ? train.find(({ labelled }) => labelled?.names.includes(name)) : undefined;
    if (row === undefined) continue;
    log.add({ code: 'DATA_LABEL_FEW', ...row.source, message: `is the only row with the label "${name}".` });
  }
  const classes = { kind, names: [...counts.keys()], counts: [...counts.values()], rows: train.length } as const;
  return { classes, findings: log.groups() };
}

/** A split that was drawn gives rows back to the training whose label it would not see otherwise. */
export function keepLabelsTrained(split: Split, rows: readonly Row[]): Split {
  const seen = countLabels(split.train);
  const back = new Set(
    [...split.select, ...split.report].filter((row) => row.labelled?.names.some((name) => !seen.has(name))),
  );
  if (back.size === 0) return split;
  const trained = new Set(split.train);
  const stays = (row: Row) => !back.has(row);
  return {
    ...split,
    train: rows.filter((row) => trained.has(row) || back.has(row)),
    select: split.select.filter(stays),
    report: split.report.filter(stays),
    notes: [
      ...split.notes,
      `${back.size} rows train that were drawn to be held out: they have the only rows of their label.`,
    ],
  };
}

/**
 * Rows as sequence classification in transformers sees them: a text with the special tokens that the tokenizer adds by itself, a conversation through
 * the chat template and nothing after it.
 *
 * @param classes undefined where the labels of the rows, if any, are not looked at
 */
export function classRenderer(setup: TextSetup, classes: Pick<Classes, 'names'> | undefined): Render {
  const numbers = new Map(classes?.names.map((name, k) => [name, k]));
  return (row: Row): readonly Example[] => {
    const ids = Int32Array.from(idsOf(row, setup));
    const own = (row.labelled?.names ?? []).flatMap((name) => numbers.get(name) ?? []);
    return [{ ids, labels: new Int32Array(ids.length).fill(IGNORE), classes: own }];
  };
}

function idsOf(row: Row, setup: TextSetup): number[] {
  const tokenizer = requireTokenizer(setup);
  if (row.kind === 'text') return renderRawPrompt(row.text, tokenizer);
  if (row.kind !== 'messages') throw new Error(`internal: a row of kind ${row.kind} among rows to classify`);
  const { messages, tools } = row;
  return tokenizer.encode(requireTemplate(setup).render(messages, { tools, addGenerationPrompt: false }));
}

/** What each class counts in the loss; undefined where all count alike. */
export function classWeights({ kind, counts, rows }: Classes, how: 'none' | 'balanced'): Float32Array | undefined {
  if (how === 'none') return undefined;
  // Of one label: such that the mean over the rows is 1. Of several: positives of a label count as much as its negatives.
  const weight = (count: number) =>
    kind === 'single' ? rows / (counts.length * count) : Math.max(1, rows - count) / count;
  return Float32Array.from(counts, weight);
}
