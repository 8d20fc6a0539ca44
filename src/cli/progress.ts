import { SingleBar } from 'cli-progress';
import type { Activity } from '../train/activity.ts';
import { countText, durationText } from './format.ts';
import type { Terminal } from './terminal.ts';

/** A bar on stderr that is redrawn where a person watches, and otherwise a line now and then. Without a total it is a line that moves. */
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

/** What turns where no bar can grow. */
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

function liveBar(terminal: Terminal, label: string): Progress {
  const size = Math.max(10, Math.min(30, terminal.columns - label.length - 60));
  let turns = 0;
  let isOpenEnded = false;
  const bar = new SingleBar({
    format: (_options, { progress }, { text }: { readonly text: string }) => {
      if (isOpenEnded) return `${label} ${SPINNER[turns++ % SPINNER.length]} ${text}`;
      const full = Math.round(size * progress);
      return `${label} ${'█'.repeat(full)}${'░'.repeat(size - full)} ${Math.floor(100 * progress)}% ${text}`;
    },
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
      isOpenEnded = total === undefined;
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

/** Activities in words. */
const WORDS: Readonly<Record<Activity['kind'], string>> = {
  measure: 'measuring the cost',
  reference: 'scoring the answers before training',
  rehearse: 'answering before training',
  baseline: 'reporting before training',
  evaluate: 'evaluating',
  answer: 'answering held-out prompts',
  report: 'reporting after training',
};

/** Lines for what yields no event while it goes on. */
export interface ActivityLine {
  show(activity: Activity): void;
  /** Takes the line away. */
  end(): void;
}

/**
 * Shows activities, one at a time: what, how much of it is done, the time left. Where nobody watches it is one plain line for each, and none for
 * machines.
 */
export function openActivityLine(terminal: Terminal): ActivityLine {
  let open:
    | { readonly kind: Activity['kind']; readonly since: number; readonly progress: Progress | undefined }
    | undefined;
  const end = () => {
    open?.progress?.stop();
    open = undefined;
  };
  const begin = ({ kind, total, unit }: Activity) => {
    const progress = terminal.live && !terminal.json ? openProgress(terminal, WORDS[kind]) : undefined;
    if (!terminal.live && !terminal.json) terminal.say(`${WORDS[kind]}: ${countText(total)} ${unit}`);
    return { kind, since: Date.now(), progress };
  };
  return {
    show: (activity) => {
      const { kind, done, total, unit } = activity;
      if (open?.kind !== kind) end();
      open ??= begin(activity);
      const left =
        done === 0 ? '' : ` · ${durationText(((Date.now() - open.since) / 1000 / done) * (total - done))} left`;
      open.progress?.update(done, total, `${countText(done)} of ${countText(total)} ${unit}${left}`);
      if (done >= total) end();
    },
    end,
  };
}
