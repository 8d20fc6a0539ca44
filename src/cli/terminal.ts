import pc from 'picocolors';

/** Where a command's words go. */
export interface Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Whether a person watches stderr, so that lines may be redrawn. */
  readonly live: boolean;
  /** Characters of a line. */
  readonly columns: number;
  readonly colours: ReturnType<typeof pc.createColors>;
  /** A result: to stdout, or to stderr under --json, where stdout is for machines. */
  print(text: string): void;
  /** Text of a result as it comes, without a line end. */
  stream(text: string): void;
  /** How things go: to stderr, silent under --quiet. */
  say(text: string): void;
  /** A line for machines, only under --json. */
  emit(value: unknown): void;
}

/** The part of a stream that a terminal writes to. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** What the terminal is made of. */
export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Joins the streams into a terminal. */
export function openTerminal({ json, quiet, stdout, stderr, env }: TerminalOptions): Terminal {
  const plain = env.NO_COLOR !== undefined && env.NO_COLOR !== '';
  const results = json ? stderr : stdout;
  return {
    json,
    quiet,
    live: stderr.isTTY === true && !quiet && env.CI === undefined && env.TERM !== 'dumb',
    // A terminal that does not know its width says 0.
    columns: stderr.columns || stdout.columns || 80,
    colours: pc.createColors(!plain && results.isTTY === true),
    print: (text) => void (json && quiet ? undefined : results.write(`${text}\n`)),
    stream: (text) => void (json && quiet ? undefined : results.write(text)),
    say: (text) => void (quiet ? undefined : stderr.write(`${text}\n`)),
    emit: (value) => void (json ? stdout.write(`${JSON.stringify(value)}\n`) : undefined),
  };
}
