import { homedir } from 'node:os';
import { join } from 'node:path';
import { formatError, nearestName, TunesmithError } from '../errors/index.ts';
import { version } from '../io/version.ts';
import { type Context, INTERRUPTED } from './command.ts';
import { commandHelp, programHelp } from './help.ts';
import { hubSettings } from './hub-settings.ts';
import { parseCommandLine } from './parse.ts';
import { type CommandEntry, commands } from './table.ts';
import { openTerminal, type Sink, type Terminal } from './terminal.ts';

/** What surrounds a call of the program. */
export interface Surroundings {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Runs the program on the real streams, with signals, and sets the exit code. */
export async function runCli(argv: readonly string[]): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => {
    // Once is a request to save and stop; twice is an order.
    if (stop.signal.aborted) process.exit(INTERRUPTED);
    stop.abort(new Error('interrupted'));
  };
  const signals = process.platform === 'win32' ? (['SIGINT', 'SIGBREAK'] as const) : (['SIGINT', 'SIGTERM'] as const);
  for (const signal of signals) process.on(signal, interrupt);
  // `tunesmith runs ls | head -1` closes our output early: that is no fault, but there is nobody left to work for.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (!stop.signal.aborted) stop.abort(new Error('the output was closed'));
    });
  }
  const { stdout, stderr, env } = process;
  process.exitCode = await main(argv, { stdout, stderr, env, signal: stop.signal });
  for (const signal of signals) process.off(signal, interrupt);
}

/** Runs one command line and returns the exit code: 0 done, 1 failed, 2 wrong usage or input, 3 a gate said no, 130 interrupted. */
export async function main(argv: readonly string[], around: Surroundings): Promise<number> {
  const has = (flag: string) => {
    const end = argv.indexOf('--');
    return argv.slice(0, end < 0 ? argv.length : end).includes(flag);
  };
  const terminal = openTerminal({ ...around, json: has('--json'), quiet: has('--quiet') });
  try {
    return await dispatch(argv, terminal, around);
  } catch (error) {
    if (around.signal.aborted && isAbort(error, around.signal)) {
      terminal.say('Interrupted.');
      return INTERRUPTED;
    }
    return report(error, terminal, around.stderr);
  }
}

/** Whether an error is the interruption itself, as `signal` or as Node's own functions throw it; anything else is a fault, also after Ctrl-C. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  if (!(error instanceof Error) || error instanceof TunesmithError) return false;
  return error.name === 'AbortError' || isAbort(error.cause ?? null, signal);
}

async function dispatch(argv: readonly string[], terminal: Terminal, around: Surroundings): Promise<number> {
  const [first, second] = argv;
  if (first === '--version' || first === '-v') {
    terminal.print(version());
    terminal.emit({ type: 'version', version: version() });
    return 0;
  }
  if (first === undefined || first === '--help' || first === '-h' || (first === 'help' && second === undefined)) {
    terminal.print(programHelp(commands, version()));
    return 0;
  }
  if (first === 'help') return dispatch([...argv.slice(1), '--help'], terminal, around);
  const name = [`${first} ${second}`, first].find((words) => Object.hasOwn(commands, words));
  const entry = name === undefined ? undefined : commands[name];
  if (name === undefined || entry === undefined) return unknown(argv, terminal);
  const command = await entry.load();
  const args = parseCommandLine(command, argv.slice(name.split(' ').length).map(shortHelp));
  if (args.options.help === true) {
    terminal.print(commandHelp(command));
    return 0;
  }
  const { env, signal } = around;
  const context: Context = {
    terminal,
    signal,
    env,
    home: env.TUNESMITH_HOME || join(homedir(), '.cache', 'tunesmith'),
    // Read when it is needed: a broken token file is no matter of commands that need no model.
    get hub() {
      return hubSettings(env, args.options.offline === true);
    },
  };
  return (await command.run(args, context)) ?? 0;
}

const shortHelp = (word: string) => (word === '-h' ? '--help' : word);

/** `runs` alone lists what begins so; anything else is no command. */
function unknown(argv: readonly string[], terminal: Terminal): number {
  const [first = '', second] = argv;
  const under: [string, CommandEntry][] = Object.entries(commands).filter(([name]) => name.startsWith(`${first} `));
  const asked = second === undefined || second === '--help' || second === '-h';
  if (under.length > 0 && asked) {
    terminal.print(under.map(([name, { summary }]) => `  tunesmith ${name.padEnd(14)} ${summary}`).join('\n'));
    return second === undefined ? 2 : 0;
  }
  if (first.startsWith('-')) {
    const message = `tunesmith has no option ${first} before the command.`;
    throw new TunesmithError('CLI_OPTION_UNKNOWN', { message, fix: 'tunesmith COMMAND --help lists them' });
  }
  const typed = under.length > 0 ? `${first} ${second}` : first;
  const names = Object.keys(commands);
  const near = nearestName(typed, [...names, ...names.flatMap((name) => name.split(' ')[0] ?? [])]);
  throw new TunesmithError('CLI_COMMAND_UNKNOWN', {
    message: `tunesmith has no command ${typed}.`,
    fix: near === undefined ? undefined : `did you mean tunesmith ${near}?`,
  });
}

/** Shows an error and returns its exit code. Input and surroundings get one line each; only our own faults get a stack trace. */
function report(error: unknown, terminal: Terminal, stderr: Sink): number {
  const errors = error instanceof AggregateError ? error.errors : [error];
  let exit = 0;
  for (const one of errors) {
    if (one instanceof TunesmithError) {
      const { code, details } = one;
      stderr.write(`${formatError(code, details)}\n`);
      const { message, file, line, fix } = details;
      terminal.emit({ type: 'error', code, message, file, line, fix });
      exit = Math.max(exit, one.exitCode);
      continue;
    }
    const text = one instanceof Error ? (one.stack ?? one.message) : String(one);
    stderr.write(`${/^(\w*Error: )?internal:/.test(text) ? '' : 'internal: '}${text}\n`);
    terminal.emit({ type: 'error', code: 'internal', message: one instanceof Error ? one.message : String(one) });
    exit = Math.max(exit, 1);
  }
  return exit;
}
