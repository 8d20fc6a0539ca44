import type { HubSettings } from '../registry/pull.ts';
import type { Terminal } from './terminal.ts';

/** Exit code after a signal, when what was done is saved. */
export const INTERRUPTED = 130;

/** One option of a command. */
export interface OptionSpec {
  readonly type: 'string' | 'number' | 'integer' | 'boolean';
  readonly description: string;
  /** What stands for the value in the help: `--data FILE`. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** May be given several times; its value is a list. */
  readonly many?: boolean;
  /** Shown in the help; the owner of the option applies it. */
  readonly default?: string;
  /** Whether `--no-NAME` turns it off. */
  readonly negatable?: boolean;
  /** The heading that it stands under in the help. */
  readonly group?: string;
}

/** Options by their name without dashes, as typed: `max-tokens`. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** A value that was given for an option. */
export type OptionValue = string | number | boolean | readonly string[];

type ValueOf<S extends OptionSpec> = S['many'] extends true
  ? readonly string[]
  : S['type'] extends 'boolean'
    ? boolean
    : S['type'] extends 'number' | 'integer'
      ? number
      : string;

/** The values of options, undefined where not given. */
export type Values<S extends OptionSpecs> = string extends keyof S
  ? Readonly<Record<string, OptionValue | undefined>>
  : { readonly [K in keyof S]?: ValueOf<S[K]> };

/** A parsed command line. */
export interface Parsed<S extends OptionSpecs> {
  readonly options: Values<S>;
  readonly positionals: readonly string[];
}

/** What a command is given beside its arguments. */
export interface Context {
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C and by a closed output. */
  readonly signal: AbortSignal;
  /** The cache folder. */
  readonly home: string;
  readonly hub: HubSettings;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A command: what it takes, how it explains itself, and what it does. `run` may return an exit code (default 0). */
export interface Command<S extends OptionSpecs = OptionSpecs> {
  /** Without the program's name: `runs ls`. */
  readonly name: string;
  readonly summary: string;
  /** Names of what stands without dashes, `[MODEL]` where it may be left out, `FILE...` where several may stand. */
  readonly positionals: readonly string[];
  readonly options: S;
  /** Command lines without the program's name. */
  readonly examples: readonly string[];
  /** What the help says beneath the options. */
  readonly notes?: string;
  run(args: Parsed<S>, context: Context): Promise<number | undefined>;
}

/** Gives a command its types and forgets them, so that commands of all kinds stand in one table. */
export function defineCommand<const S extends OptionSpecs>(command: Command<S>): Command {
  // The parser makes values by the same specs that the type is made of.
  return command as unknown as Command;
}
