import { type Agreement, type Alpha, agreementOf, type Disagreement } from '../../../align/ranking/agreement.ts';
import { promptParts } from '../../../align/ranking/words.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { table } from '../../format.ts';
import { readAllRankings, selectionOf, selectionOptions } from '../../prefer/files.ts';
import { harmless } from '../../prefer/show.ts';

/** Disagreements that are shown. */
const SHOWN = 10;

/** `tunesmith prefer agreement`. */
export const preferAgreement = defineCommand({
  name: 'prefer agreement',
  summary: 'Says how far raters agree, and where they do not.',
  positionals: ['PREFS...'],
  options: {
    ...selectionOptions,
    limit: { type: 'integer', value: 'N', description: 'disagreements that are shown', default: String(SHOWN) },
  },
  examples: ['prefer agreement prefs.jsonl', 'prefer agreement ada.jsonl ben.jsonl --by person'],
  notes: `Krippendorff's alpha is 1 where raters always agree and 0 where they agree as dice would; 0.8 and more counts as reliable, below 0.67 the question
or the instructions are unclear. It is taken over pairs of answers (better, equal, worse) and over marks (good, bad).`,
  async run({ options, positionals }, { terminal }) {
    const agreement = agreementOf(readAllRankings(positionals), selectionOf(options));
    if (agreement.raters.length < 2) {
      const message = `is of ${agreement.raters.length === 0 ? 'no rater' : `one rater, ${agreement.raters[0]!.name}`}; it takes two to agree.`;
      throw new TunesmithError('PREFER_NOTHING', {
        message,
        file: positionals[0],
        fix: 'tunesmith prefer PREFS --rater OTHER',
      });
    }
    const { disagreements, ...figures } = agreement;
    terminal.emit({ type: 'agreement', ...figures });
    for (const one of disagreements)
      terminal.emit({ type: 'disagreement', ...one, item: one.item.id, prompt: one.item.prompt });
    terminal.print(agreementText(agreement));
    const shown = disagreements.slice(0, options.limit ?? SHOWN);
    if (shown.length > 0) {
      const more = disagreements.length > shown.length ? `, the first ${shown.length} of them` : '';
      terminal.print(`\n${disagreements.length} pairs that raters put in opposite orders${more}:`);
      for (const one of shown) terminal.print(`\n${disagreementText(one)}`);
    }
    return 0;
  },
});

function agreementText({ raters, pairs, marks, between }: Agreement): string {
  const judged = raters.map(({ name, kind, judged: count }) => [name, kind, String(count)]);
  const both = between.map(({ one, other, same, of }) => [
    `${one} and ${other}`,
    `${same} of ${of}`,
    `${Math.round((100 * same) / of)} %`,
  ]);
  return [
    table([['rater', 'kind', 'judged'], ...judged]),
    '',
    alphaText('pairs of answers', pairs),
    ...(marks.units === 0 ? [] : [alphaText('good or bad', marks)]),
    ...(both.length === 0 ? [] : ['', table([['who', 'the same', 'share'], ...both])]),
  ].join('\n');
}

function alphaText(what: string, { alpha, units }: Alpha): string {
  if (units === 0) return `${what}: nothing was judged by two.`;
  if (alpha === undefined) return `${what}: all said the same of all ${units}, so that nothing can be told apart.`;
  const word = alpha >= 0.8 ? 'reliable' : alpha >= 0.67 ? 'fair' : 'low: say more clearly what counts';
  return `${what}: Krippendorff's alpha ${alpha.toFixed(3)} over ${units} (${word})`;
}

function disagreementText({ item, answers, forFirst, forSecond }: Disagreement): string {
  const short = (text: string) => {
    const line = harmless(text).replace(/\s+/g, ' ').trim();
    return line.length > 100 ? `${line.slice(0, 99)}…` : line;
  };
  const asked = promptParts(item).at(-1)?.text ?? '';
  return [
    short(asked),
    `  ${forFirst.join(', ')}: ${short(answers[0])}`,
    `  ${forSecond.join(', ')}: ${short(answers[1])}`,
  ].join('\n');
}
