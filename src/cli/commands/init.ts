import { totalmem } from 'node:os';
import { join } from 'node:path';
import { assertNoErrors, formatFindings, loadRows } from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { writeAtomic } from '../../io/atomic.ts';
import { KNOWN_MODELS, type KnownModel } from '../../model/catalogue.ts';
import { modelNeeds } from '../../registry/needs.ts';
import { defineCommand } from '../command.ts';
import { findConfig } from '../config-file.ts';
import { bytesText, countText } from '../format.ts';

const NAME = 'tunesmith.config.ts';

/** `tunesmith init`. */
export const init = defineCommand({
  name: 'init',
  summary: 'Looks at a data file, proposes a model that fits this machine, and writes tunesmith.config.ts.',
  positionals: ['FILE'],
  options: {
    model: { type: 'string', value: 'MODEL', description: 'the model, instead of the proposed one' },
    force: { type: 'boolean', description: 'overwrite a config that is there' },
  },
  examples: ['init support.jsonl'],
  async run({ options, positionals: [file = ''] }, { terminal }) {
    const there = findConfig('.');
    if (there !== undefined && !(options.force && there === NAME)) {
      const fix = there === NAME ? 'tunesmith init --force overwrites it' : 'remove it first';
      throw new TunesmithError('FILE_EXISTS', { message: 'is there already.', file: there, fix });
    }
    const labelled = await loadRows(file, { format: 'chat', answers: 'optional', labels: 'optional' });
    const isLabelled = labelled.rows.length > 0 && labelled.rows.every((row) => row.labelled !== undefined);
    const { rows, files, findings } = isLabelled ? labelled : await loadRows(file, { format: 'chat' });
    if (findings.length > 0) terminal.say(formatFindings(findings));
    assertNoErrors(findings);
    const shape = `${files[0]?.shape ?? 'unknown'}${isLabelled ? ' with labels' : ''}`;
    const model = options.model ?? proposed(totalmem()).id;
    writeAtomic(join('.', NAME), configText({ model, file, rows: rows.length, shape, isLabelled }));
    terminal.emit({ type: 'init', path: NAME, model, rows: rows.length, shape });
    terminal.print(`${countText(rows.length)} rows of ${shape}. Wrote ${NAME} for ${model}.`);
    terminal.print('Next:\n  tunesmith train --plan   what it will cost\n  tunesmith train          do it');
    return 0;
  },
});

/** The largest known model that everybody may pull and that trains in half of the memory; the smallest where none does. */
export function proposed(memory: number): KnownModel {
  const bySize = KNOWN_MODELS.filter(({ gated }) => !gated).sort((a, b) => b.parameters - a.parameters);
  const found = bySize.find((model) => modelNeeds(model).tune <= memory / 2) ?? bySize.at(-1);
  if (found === undefined) throw new Error('internal: the catalogue of models is empty');
  return found;
}

/** What the config is written from. */
interface Seen {
  readonly model: string;
  readonly file: string;
  readonly rows: number;
  readonly shape: string;
  /** Every row brings what it is to be classified as. */
  readonly isLabelled: boolean;
}

function configText(what: Seen): string {
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return `import { defineRun } from 'tunesmith';

// ${countText(what.rows)} rows of ${what.shape}, looked at on a machine with ${bytesText(totalmem())} of memory.
// Everything that is not set here is chosen, printed and stored with the run: \`tunesmith train --plan\` shows it.
export default defineRun({
  model: ${quoted(what.model)},
  data: ${quoted(what.file)},${what.isLabelled ? "\n  method: { kind: 'classify' }," : ''}
});
`;
}
