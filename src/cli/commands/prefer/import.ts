import { basename } from 'node:path';
import { loadJudgements } from '../../../align/ranking/import.ts';
import { openRankingFile } from '../../../align/ranking/log.ts';
import { defineCommand } from '../../command.ts';
import { countText } from '../../format.ts';
import { lockRankings } from '../../prefer/lock.ts';

/** `tunesmith prefer import`. */
export const preferImport = defineCommand({
  name: 'prefer import',
  summary: 'Reads judgements that were made elsewhere into a file of rankings.',
  positionals: ['FILE...'],
  options: {
    out: {
      type: 'string',
      value: 'PREFS',
      description: 'the file of rankings that they are added to',
      default: 'prefs.jsonl',
    },
    rater: {
      type: 'string',
      value: 'NAME',
      description: 'who judged, where rows do not say it (default: the name of the file)',
    },
  },
  examples: ['prefer import feedback.jsonl --rater ada', 'prefer import argilla.json --out prefs.jsonl'],
  notes: `Understood are the pairs and the KTO rows of TRL, OpenAI's and LLaMA-Factory's preferences, {prompt, ranked}, records of Argilla and distilabel, and
the feedback of tunesmith chat (/good, /bad and /fix); a file may mix them. What is there already is not added again.`,
  async run({ options, positionals }, { terminal }) {
    const out = options.out ?? 'prefs.jsonl';
    const imported = await loadJudgements(positionals);
    const lock = lockRankings(out);
    try {
      const file = openRankingFile(out, 0);
      let [added, known] = [0, 0];
      for (const { item, opinions } of imported) {
        if (!file.rankings.items.has(item.id)) file.add({ type: 'item', item });
        for (const { rater, opinion } of opinions) {
          const name = rater ?? options.rater ?? basename(positionals[0]!);
          const old = file.rankings.judgement(item.id, 'overall', name);
          if (JSON.stringify(old?.opinion) === JSON.stringify(opinion)) {
            known++;
            continue;
          }
          const shown = item.answers.map((_, at) => at);
          const at = new Date().toISOString();
          file.add({
            type: 'judgement',
            judgement: { item: item.id, axis: 'overall', rater: { name, kind: 'import' }, at, shown, opinion },
          });
          added++;
        }
      }
      file.close();
      terminal.emit({ type: 'imported', out, items: imported.length, judgements: added, known });
      const twice = known === 0 ? '' : `, ${countText(known)} were there already`;
      terminal.print(`${countText(added)} judgements added to ${out}${twice}.`);
    } finally {
      lock.release();
    }
    return 0;
  },
});
