import { argillaRecord } from '../../../align/ranking/argilla.ts';
import {
  deriveLists,
  deriveMarks,
  derivePairs,
  PAIR_RULES,
  type Selection,
  selected,
} from '../../../align/ranking/derive.ts';
import type { Rankings } from '../../../align/ranking/rankings.ts';
import { listFields, markFields, pairFields } from '../../../align/ranking/records.ts';
import { type Fields, openRecordWriter } from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { outOptions, requireOut } from '../../data.ts';
import { countText } from '../../format.ts';
import { readAllRankings, selectionOf, selectionOptions } from '../../prefer/files.ts';

/** What rankings are written as. */
const FORMS = ['preference', 'openai-preference', 'unpaired', 'lists', 'argilla'] as const;
type Form = (typeof FORMS)[number];

const FORM_NAMES: Readonly<Record<Form, string>> = {
  preference: 'TRL pairs {prompt, chosen, rejected}',
  'openai-preference': 'OpenAI pairs {input, preferred_output, non_preferred_output}',
  unpaired: 'KTO rows {prompt, completion, label}',
  lists: '{prompt, ranked: [best, ..., worst]}, for --method reward',
  argilla: 'Argilla records, with the rankings of all raters',
};

/** `tunesmith prefer export`. */
export const preferExport = defineCommand({
  name: 'prefer export',
  summary: 'Writes rankings as rows for other tools.',
  positionals: ['PREFS...'],
  options: {
    to: { type: 'string', choices: FORMS, description: 'what to write', default: 'preference' },
    pairs: { type: 'string', choices: PAIR_RULES, description: 'which pairs of an order are written', default: 'all' },
    ...outOptions,
    ...selectionOptions,
  },
  examples: [
    'prefer export prefs.jsonl --out pairs.jsonl',
    'prefer export ada.jsonl ben.jsonl --to unpaired --by person --out kto.jsonl',
  ],
  notes: [
    'Of several raters the majority decides; what they are divided on is left out. --to:',
    ...FORMS.map((form) => `  ${form.padEnd(18)} ${FORM_NAMES[form]}`),
  ].join('\n'),
  async run({ options, positionals }, { terminal }) {
    const out = requireOut(options.out, options.force, positionals);
    const to = (options.to ?? 'preference') as Form;
    const isPairs = to === 'preference' || to === 'openai-preference';
    if (options.pairs !== undefined && !isPairs) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--pairs has no effect on ${to}.` });
    }
    const rankings = readAllRankings(positionals);
    const rule = PAIR_RULES.find((name) => name === options.pairs) ?? 'all';
    const { rows, undecided } = rowsOf(rankings, to, selectionOf(options), rule);
    if (rows.length === 0) {
      const message = `has no judgement that makes a row of ${to}.`;
      throw new TunesmithError('PREFER_NOTHING', {
        message,
        file: positionals[0],
        fix: `tunesmith prefer ${positionals[0]}`,
      });
    }
    const writer = openRecordWriter(out);
    try {
      for (const row of rows) writer.write(row);
      writer.commit();
    } finally {
      writer.discard();
    }
    if (undecided > 0) terminal.say(`${undecided} left out, on which raters are divided.`);
    terminal.emit({ type: 'exported', out, to, rows: rows.length, undecided });
    terminal.print(`${countText(rows.length)} rows of ${to} in ${out}.`);
    return 0;
  },
});

function rowsOf(
  rankings: Rankings,
  to: Form,
  selection: Selection,
  rule: (typeof PAIR_RULES)[number],
): { readonly rows: readonly Fields[]; readonly undecided: number } {
  switch (to) {
    case 'preference':
    case 'openai-preference': {
      const { rows, undecided } = derivePairs(rankings, selection, rule);
      return { rows: rows.map((row) => (to === 'preference' ? pairFields(row) : openAi(pairFields(row)))), undecided };
    }
    case 'unpaired': {
      const { rows, undecided } = deriveMarks(rankings, selection);
      return { rows: rows.map(markFields), undecided };
    }
    case 'lists':
      return { rows: deriveLists(rankings, selection).rows.map(listFields), undecided: 0 };
    case 'argilla': {
      const ranked = [...selected(rankings, selection)].filter(([, judged]) =>
        judged.some(({ opinion }) => opinion.ranking),
      );
      return { rows: ranked.map(([item, judged]) => argillaRecord(item, judged)), undecided: 0 };
    }
    default:
      return to satisfies never;
  }
}

function openAi({ prompt, chosen, rejected, tools }: Fields): Fields {
  if (!Array.isArray(prompt)) {
    throw new TunesmithError('DATA_NO_FORM', {
      message: 'raw texts have no form in openai-preference.',
      fix: '--to preference',
    });
  }
  const input = { messages: prompt, ...(tools === undefined ? {} : { tools }) };
  return { input, preferred_output: chosen, non_preferred_output: rejected };
}
