import { nearestName, TunesmithError } from '../../../errors/index.ts';
import { fileExists } from '../../../io/index.ts';
import { type Command, defineCommand, type Values } from '../../command.ts';
import { readOptions } from '../../data.ts';
import { modelOptions } from '../../models.ts';

const NAMES = ['check', 'fix', 'xray', 'stats', 'split', 'convert', 'mix'];

const options = { model: modelOptions.model, ...readOptions } as const;

/** `tunesmith data FILE...`. */
export const overview = defineCommand({
  name: 'data',
  summary: 'Looks at data files: figures, what is wrong, and with --model three rows as the model sees them.',
  positionals: ['FILE...'],
  options,
  examples: ['data train.jsonl', 'data train.jsonl --model smollm2-135m-instruct'],
  notes: `tunesmith data ${NAMES.join('|')} do one thing each; --help after them says more. Exit code 3 when errors remain.`,
  async run({ options, positionals }, context) {
    const [first = ''] = positionals;
    const near = fileExists(first) ? undefined : nearestName(first, NAMES);
    if (near !== undefined) {
      const fix = `did you mean tunesmith data ${near}?`;
      throw new TunesmithError('CLI_COMMAND_UNKNOWN', { message: `tunesmith data has no command ${first}.`, fix });
    }
    const { terminal } = context;
    const title = (text: string) => terminal.print(`\n${terminal.colours.bold(text)}`);
    const { stats } = await import('./stats.ts');
    await stats.run({ options: taken(stats, options), positionals }, context);
    title('What is wrong');
    const { check } = await import('./check.ts');
    const code = await check.run({ options: taken(check, options), positionals }, context);
    if (options.model !== undefined) {
      title('As the model sees it');
      const { xray } = await import('./xray.ts');
      await xray.run({ options: taken(xray, options), positionals }, context);
    } else terminal.print('\n--model MODEL shows three rows as the model sees them.');
    return code;
  },
});

/** The options that a command has too. */
function taken(
  command: Command,
  given: Values<typeof options>,
): Readonly<Record<string, string | boolean | readonly string[]>> {
  const entries = Object.entries(given).filter(([name, value]) => value !== undefined && name in command.options);
  return Object.fromEntries(entries) as Record<string, string | boolean | readonly string[]>;
}
