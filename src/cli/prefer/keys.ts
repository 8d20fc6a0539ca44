import { createInterface, emitKeypressEvents, type Key } from 'node:readline';

/** Keys as they are pressed, one after the other, from a terminal or a pipe. */
export interface Keys {
  /** The name of the next key, as browsers call it; undefined at the end of the input or once `signal` or `interrupted` is aborted. */
  next(signal: AbortSignal): Promise<string | undefined>;
  /** A line of text that begins as `text`; undefined if it is given up. */
  line(question: string, text: string): Promise<string | undefined>;
  /** Aborted by Ctrl-C, which a terminal in raw mode hands over as a key. */
  readonly interrupted: AbortSignal;
  close(): void;
}

/** Where keys come from. */
export interface KeyInput extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
  setRawMode?(on: boolean): unknown;
}

const NAMES: Readonly<Record<string, string>> = {
  return: 'Enter',
  enter: 'Enter',
  escape: 'Escape',
  backspace: 'Backspace',
  space: ' ',
};

/** Listens to an input until it is closed. */
export function openKeys(input: KeyInput, output: NodeJS.WritableStream): Keys {
  const waiting: string[] = [];
  const interrupt = new AbortController();
  let wake: (() => void) | undefined;
  let hasEnded = false;
  const onKey = (text: string | undefined, key: Key) => {
    if (key.ctrl === true && key.name === 'c') interrupt.abort();
    else waiting.push(keyName(text, key));
    wake?.();
  };
  const onEnd = () => {
    hasEnded = true;
    wake?.();
  };
  const listen = () => {
    if (input.isTTY === true) input.setRawMode?.(true);
    input.on('keypress', onKey);
    input.resume();
  };
  const stop = () => {
    input.off('keypress', onKey);
    if (input.isTTY === true) input.setRawMode?.(false);
    input.pause();
  };
  emitKeypressEvents(input);
  input.once('end', onEnd);
  listen();

  const next = async (signal: AbortSignal): Promise<string | undefined> => {
    for (;;) {
      if (signal.aborted || interrupt.signal.aborted) return undefined;
      if (waiting.length > 0) return waiting.shift();
      if (hasEnded) return undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  };
  const pipedLine = async (): Promise<string | undefined> => {
    for (let text = ''; ; ) {
      const key = await next(new AbortController().signal);
      if (key === undefined || key === 'Escape') return undefined;
      if (key === 'Enter') return text;
      text += [...key].length === 1 ? key : '';
    }
  };
  const typedLine = async (question: string, text: string): Promise<string | undefined> => {
    stop();
    const lines = createInterface({ input, output, terminal: true });
    try {
      return await new Promise<string | undefined>((resolve) => {
        lines.on('SIGINT', () => {
          interrupt.abort();
          resolve(undefined);
        });
        lines.on('close', () => resolve(undefined));
        lines.question(question, resolve);
        lines.write(text);
      });
    } finally {
      lines.close();
      listen();
    }
  };
  return {
    next,
    interrupted: interrupt.signal,
    line: (question, text) => (input.isTTY === true ? typedLine(question, text) : pipedLine()),
    close: () => {
      input.off('end', onEnd);
      stop();
    },
  };
}

function keyName(text: string | undefined, key: Key): string {
  return NAMES[key.name ?? ''] ?? text ?? key.name ?? '';
}
