import type { Command, OptionSpec } from './command.ts';
import { GLOBAL_OPTIONS } from './parse.ts';
import type { CommandEntry } from './table.ts';

const GROUPS: Readonly<Record<CommandEntry['group'], string>> = {
  main: '',
  data: 'data',
  feedback: 'feedback',
  runs: 'runs',
  plumbing: 'plumbing',
};

/** The help of one command. */
export function commandHelp(command: Command): string {
  const usage = ['tunesmith', command.name, ...command.positionals, '[options]'].join(' ');
  const all = Object.entries<OptionSpec>({ ...command.options, ...GLOBAL_OPTIONS });
  const width = Math.min(34, Math.max(...all.map(([name, spec]) => optionRow(name, spec)[0].length)));
  const isGrouped = all.some(([, { group }]) => group !== undefined);
  const groups = Map.groupBy(all, ([, { group }]) => group ?? (isGrouped ? 'Further options' : 'Options'));
  const blocks = [...groups].map(([title, own]) => {
    const rows = own.map(([name, spec]) => optionText(optionRow(name, spec), width));
    return [`${title}:`, ...rows].join('\n');
  });
  return [
    `${usage}\n`,
    `${command.summary}\n`,
    blocks.join('\n\n'),
    ...(command.notes === undefined ? [] : ['', command.notes]),
    '',
    command.examples.length === 1 ? 'Example:' : 'Examples:',
    ...command.examples.map((example) => `  tunesmith ${example}`),
  ].join('\n');
}

function optionText([left, right]: readonly [string, string], width: number): string {
  return left.length > width ? `  ${left}\n  ${' '.repeat(width)}  ${right}` : `  ${left.padEnd(width)}  ${right}`;
}

function optionRow(name: string, spec: OptionSpec): [string, string] {
  const flag = spec.negatable && spec.default === 'true' ? `--no-${name}` : `--${name}`;
  const both = spec.negatable && spec.default !== 'true' ? `--${name}, --no-${name}` : flag;
  const value = spec.type === 'boolean' ? '' : ` ${spec.choices?.join('|') ?? spec.value ?? 'VALUE'}`;
  const preset = spec.default === undefined || spec.type === 'boolean' ? '' : ` (default: ${spec.default})`;
  const off = flag.startsWith('--no-') ? 'do not: ' : '';
  return [`${both}${value}`, `${off}${spec.description}${preset}${spec.many ? '; may be given several times' : ''}`];
}

/** The help of the program: the commands of the first group in full, the names of the others. */
export function programHelp(commands: Readonly<Record<string, CommandEntry>>, version: string): string {
  const of = (group: CommandEntry['group']) => Object.entries(commands).filter(([, entry]) => entry.group === group);
  const main = of('main');
  const width = Math.max(...main.map(([name]) => name.length), 8);
  const others = (['data', 'feedback', 'runs', 'plumbing'] as const)
    .filter((group) => of(group).length > 0)
    .map((group) => `  ${`${GROUPS[group]}:`.padEnd(width + 2)}${names(of(group).map(([name]) => name))}`);
  return [
    `tunesmith ${version}: fine-tune language models; nothing leaves the machine\n`,
    'Usage: tunesmith COMMAND [options]\n',
    ...main.map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    ...others,
    '',
    'tunesmith COMMAND --help shows its options and an example. Every command knows --json and --quiet.',
  ].join('\n');
}

/** `runs ls`, `runs show` -> `runs ls|show`. */
function names(all: readonly string[]): string {
  const heads = new Map<string, string[]>();
  for (const name of all) {
    const [head = '', tail] = name.split(' ');
    heads.set(head, [...(heads.get(head) ?? []), ...(tail === undefined ? [] : [tail])]);
  }
  return [...heads].map(([head, tails]) => (tails.length === 0 ? head : `${head} ${tails.join('|')}`)).join(' · ');
}
