import { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.ts';

/** A bar on stderr that is redrawn where a person watches, and otherwise a line now and then. */
export interface Progress {
  update(value: number, total: number | undefined, text: string): void;
  /** Prints a line above the bar. */
  say(text: string): void;
  stop(): void;
}

/** Seconds between lines where nobody watches. */
const EVERY = 10;

/** Opens a bar; nothing shows before the first update. */
export function openProgress(terminal: Terminal, label: string): Progress {
  return terminal.live ? liveBar(terminal, label) : plainLines(terminal, label);
}

function liveBar(terminal: Terminal, label: string): Progress {
  const bar = new SingleBar({
    format: `${label} {bar} {percentage}% {text}`,
    barsize: Math.max(10, Math.min(30, terminal.columns - label.length - 60)),
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    linewrap: false,
    // Ctrl-C is ours: it saves the run first.
    gracefulExit: false,
    stream: process.stderr,
  });
  let started = false;
  return {
    update: (value, total, text) => {
      if (!started) bar.start(total ?? 0, value, { text });
      started = true;
      if (total !== undefined && total !== bar.getTotal()) bar.setTotal(total);
      bar.update(value, { text });
    },
    say: (text) => {
      // The bar redraws itself on its next tick.
      if (started) process.stderr.write('\r\u001b[K');
      terminal.say(text);
    },
    stop: () => {
      if (started) bar.stop();
      started = false;
    },
  };
}

function plainLines(terminal: Terminal, label: string): Progress {
  let last = 0;
  return {
    update: (value, total, text) => {
      const now = Date.now();
      const done = total !== undefined && value >= total;
      if (now - last < EVERY * 1000 && !done) return;
      last = now;
      terminal.say(
        `${label} ${total === undefined ? '' : `${Math.floor((100 * value) / Math.max(1, total))}% `}${text}`,
      );
    },
    say: (text) => terminal.say(text),
    stop: () => {},
  };
}
