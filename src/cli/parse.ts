import { parseArgs } from 'node:util';
import { nearestName, TunesmithError } from '../errors/index.ts';
import type { Command, OptionSpec, OptionSpecs, OptionValue, Parsed } from './command.ts';

/** Options that every command has. */
export const GLOBAL_OPTIONS = {
  json: { type: 'boolean', description: 'machine-readable lines on stdout, everything else on stderr' },
  quiet: { type: 'boolean', description: 'results and errors only' },
  help: { type: 'boolean', description: 'this page' },
} as const satisfies OptionSpecs;

/**
 * Parses the words after a command's name. Stricter than `parseArgs` alone: each option is one of the command's, has a value of its type,
 * and stands once unless it may stand several times.
 *
 * @throws CLI_OPTION_UNKNOWN, CLI_OPTION_VALUE, CLI_ARGUMENT
 */
export function parseCommandLine(command: Command, argv: readonly string[]): Parsed<OptionSpecs> {
  const specs: OptionSpecs = { ...command.options, ...GLOBAL_OPTIONS };
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      Object.entries(specs).map(([name, spec]) => [name, { type: spec.type === 'boolean' ? 'boolean' : 'string' }]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options: Record<string, OptionValue> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    else if (token.kind === 'option') readOption(specs, token, options, command);
  }
  if (options.help !== true) checkPositionals(command, positionals);
  return { options, positionals };
}

interface OptionToken {
  readonly rawName: string;
  readonly name: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function readOption(specs: OptionSpecs, token: OptionToken, into: Record<string, OptionValue>, command: Command): void {
  const negated = token.name.startsWith('no-') ? token.name.slice(3) : undefined;
  const off = negated !== undefined && specs[negated]?.negatable === true && !Object.hasOwn(specs, token.name);
  const name = off ? negated : token.name;
  const spec = token.rawName.startsWith('--') && Object.hasOwn(specs, name) ? specs[name] : undefined;
  if (spec === undefined) throw unknownOption(token.rawName, specs, command);
  const value = off ? noValue(token) : readValue(spec, token);
  if (spec.many) {
    const before = into[name];
    into[name] = [...(Array.isArray(before) ? before : []), String(value)];
    return;
  }
  if (Object.hasOwn(into, name)) throw badValue(token.rawName, 'is given twice');
  into[name] = value;
}

function noValue(token: OptionToken): boolean {
  if (token.value !== undefined) throw badValue(token.rawName, 'takes no value');
  return false;
}

function readValue(spec: OptionSpec, token: OptionToken): OptionValue {
  const { rawName, value } = token;
  if (spec.type === 'boolean') {
    if (value === undefined) return true;
    throw badValue(rawName, 'takes no value');
  }
  if (value === undefined) throw badValue(rawName, 'needs a value');
  if (value.length > 1 && value.startsWith('-') && token.inlineValue !== true) {
    const fix = `write a value that starts with a dash as ${rawName}=${value}`;
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `${rawName} needs a value.`, fix });
  }
  if (spec.choices !== undefined && !spec.choices.includes(value)) {
    const near = nearestName(value, spec.choices);
    const message = `${rawName} ${value} is not one of ${spec.choices.join(', ')}.`;
    throw new TunesmithError('CLI_OPTION_VALUE', { message, fix: near && `did you mean ${near}?` });
  }
  return spec.type === 'string' ? value : toNumber(spec, rawName, value);
}

function toNumber(spec: OptionSpec, rawName: string, value: string): number {
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN;
  if (!Number.isFinite(number)) throw badValue(rawName, `takes a number, and ${value} is none`);
  if (spec.type === 'integer' && !Number.isSafeInteger(number)) {
    throw badValue(rawName, `takes a whole number, and ${value} is none`);
  }
  return number;
}

function checkPositionals(command: Command, given: readonly string[]): void {
  const names = command.positionals;
  const needed = names.filter((name) => !name.startsWith('['));
  const usage = `tunesmith ${command.name} --help shows what it takes`;
  const missing = needed[given.length];
  if (missing !== undefined) {
    const message = `tunesmith ${command.name} needs ${missing.replace('...', '')}.`;
    throw new TunesmithError('CLI_ARGUMENT', { message, fix: usage });
  }
  if (given.length > names.length && !names.at(-1)?.includes('...')) {
    const message = `tunesmith ${command.name} has no use for ${given[names.length]}.`;
    throw new TunesmithError('CLI_ARGUMENT', { message, fix: usage });
  }
}

function unknownOption(rawName: string, specs: OptionSpecs, command: Command): TunesmithError {
  const near = nearestName(rawName.replace(/^-+/, ''), Object.keys(specs));
  return new TunesmithError('CLI_OPTION_UNKNOWN', {
    message: `tunesmith ${command.name} has no option ${rawName}.`,
    fix: near === undefined ? `tunesmith ${command.name} --help lists them` : `did you mean --${near}?`,
  });
}

function badValue(rawName: string, what: string): TunesmithError {
  return new TunesmithError('CLI_OPTION_VALUE', { message: `${rawName} ${what}.` });
}
