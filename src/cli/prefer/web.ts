import { standings } from '../../align/ranking/derive.ts';
import type { Desk } from '../../align/ranking/desk.ts';
import type { Rankings } from '../../align/ranking/rankings.ts';
import type { Axis } from '../../align/ranking/types.ts';
import { type Gate, openGate } from '../../serve/gate.ts';
import { rankingHandler } from '../../serve/ranking.ts';
import type { Context } from '../command.ts';
import { listen } from '../listen.ts';
import type { Keys } from './keys.ts';
import type { Left } from './terminal.ts';

/** What a session in browsers needs. */
export interface Hall {
  readonly desk: Desk;
  readonly rankings: Rankings;
  readonly axis: Axis;
  readonly raters: readonly string[];
  readonly port: number | undefined;
  readonly keys: Keys;
  /** Rejects if drawing fails. */
  changed(): Promise<void>;
}

/** Lets people judge in browsers of this machine, until all say that they are through. */
export async function judgeInBrowser(hall: Hall, context: Context): Promise<Left> {
  const { desk, rankings, axis, raters, keys } = hall;
  const signal = AbortSignal.any([context.signal, keys.interrupted]);
  const through = new Set<string>();
  const closing = new AbortController();
  const finish = (rater: string) => {
    through.add(rater);
    if (through.size === raters.length) closing.abort();
  };
  const served: { gate?: Gate } = {};
  const server = await listen((port) => {
    served.gate = openGate(port);
    return rankingHandler({
      desk,
      gate: served.gate,
      finish,
      standings: (rater) => standings(rankings, { axis, raters: [rater] }),
    });
  }, hall.port);
  const invite = () => {
    for (const rater of raters) {
      const url = `http://127.0.0.1:${server.port}${served.gate?.link(rater)}`;
      context.terminal.print(raters.length === 1 ? url : `${rater}: ${url}`);
      context.terminal.emit({ type: 'link', rater, url });
    }
  };
  invite();
  context.terminal.say(
    'Open the link in a browser of this machine; it works once. Here Enter shows a new one, q or Ctrl-C ends.',
  );
  try {
    const left = keysPressed(keys, invite, AbortSignal.any([signal, closing.signal]));
    const failed = watchDrawing(hall);
    return await Promise.race([left, failed, ended(closing.signal, 'done'), ended(signal, 'interrupted')]);
  } finally {
    await server.close();
  }
}

const ended = (signal: AbortSignal, left: Left) =>
  new Promise<Left>((resolve) => {
    if (signal.aborted) resolve(left);
    signal.addEventListener('abort', () => resolve(left), { once: true });
  });

/** Resolves when somebody presses q; an input that is at its end says nothing. */
async function keysPressed(keys: Keys, invite: () => void, signal: AbortSignal): Promise<Left> {
  for (;;) {
    const key = await keys.next(signal);
    if (key === 'q') return 'quit';
    if (key === undefined) return new Promise(() => {});
    if (key === 'Enter') invite();
  }
}

/** Never resolves; rejects if drawing fails. */
async function watchDrawing({ desk, raters, changed }: Hall): Promise<Left> {
  while (desk.view(raters[0]!).isDrawing) await changed();
  return new Promise(() => {});
}
