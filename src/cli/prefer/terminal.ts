import type { Desk, View } from '../../align/ranking/desk.ts';
import { KEY_HELP, keyAction } from '../../align/ranking/keys.ts';
import { QUESTIONS, SINGLE_QUESTION } from '../../align/ranking/words.ts';
import type { Context } from '../command.ts';
import type { Keys } from './keys.ts';
import { statusText, stepText } from './show.ts';

/** How a person left. */
export type Left = 'done' | 'quit' | 'interrupted';

/** What a terminal session needs. */
export interface Seat {
  readonly desk: Desk;
  readonly rater: string;
  readonly keys: Keys;
  /** Resolves when there is something new to judge, or nothing more will come. */
  changed(): Promise<void>;
}

/** Lets a person judge by keyboard. What is saved is in the file before the next key is read. */
export async function judgeAtTerminal(seat: Seat, context: Context): Promise<Left> {
  const { desk, rater, keys } = seat;
  const { terminal } = context;
  const signal = AbortSignal.any([context.signal, keys.interrupted]);
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  let shown = '';
  let isWaiting = false;
  for (;;) {
    const view = desk.view(rater);
    if (signal.aborted) return 'interrupted';
    if (view.step === undefined) {
      if (!view.isDrawing) return 'done';
      if (!isWaiting) terminal.say('Waiting for answers ...');
      isWaiting = true;
      await Promise.race([seat.changed(), aborted]);
      continue;
    }
    isWaiting = false;
    const current = JSON.stringify([view.step.item.id, view.step.axis]);
    if (current !== shown) showStep({ ...view, step: view.step }, context);
    shown = current;
    if (typeof view.draft.writing === 'number' || view.draft.writing === 'reason') {
      await write(seat, view, context);
      continue;
    }
    showStatus(view, context);
    const key = await keys.next(signal);
    if (key === undefined) return signal.aborted ? 'interrupted' : 'quit';
    const action = keyAction(key);
    if (action === undefined) continue;
    if (action.type === 'quit') return 'quit';
    if (action.type === 'help') {
      terminal.print(helpText());
      continue;
    }
    desk.act(rater, action);
    if (action.type === 'save' || action.type === 'skip' || action.type === 'undo') terminal.print('');
  }
}

function helpText(): string {
  return `\n${[...KEY_HELP, ['q', 'leave; the same command goes on here']].map(([key, what]) => `  ${key!.padEnd(18)} ${what}`).join('\n')}`;
}

function showStep(view: Parameters<typeof stepText>[0], { terminal }: Context): void {
  const count = view.step.texts.length;
  const question = count === 1 && view.step.axis === 'overall' ? SINGLE_QUESTION : QUESTIONS[view.step.axis];
  const how =
    count === 1
      ? 'g good · b bad · e mend'
      : `${count === 2 ? '1 or 2' : `1 to ${count} from the best on`} · t tie · e mend`;
  terminal.print(
    `${stepText(view, terminal)}${terminal.colours.bold(question)} ${how} · Enter saves · s skip · u undo · ? all keys`,
  );
}

/** The line beneath, which is written anew where a person watches. */
function showStatus({ draft, step }: View, { terminal }: Context): void {
  const text = statusText(draft, step?.texts.length ?? 0);
  if (process.stdout.isTTY === true && !terminal.json) terminal.stream(`\r\u001b[K> ${text}`);
  else if (text !== '') terminal.print(`> ${text}`);
}

/** Takes the text of a mended answer or of a reason. */
async function write({ desk, rater, keys }: Seat, { draft, step }: View, { terminal }: Context): Promise<void> {
  terminal.print('');
  if (draft.writing === 'reason') {
    const text = await keys.line('Why? ', draft.reason);
    return desk.act(rater, text === undefined ? { type: 'cancel' } : { type: 'reasoned', text });
  }
  const at = draft.writing as number;
  const before = draft.edits.get(at) ?? step?.texts[at] ?? '';
  // A line cannot hold line ends.
  const text = await keys.line(`Better than ${at + 1} (\\n is a new line): `, before.replaceAll('\n', '\\n'));
  desk.act(rater, text === undefined ? { type: 'cancel' } : { type: 'edited', at, text: text.replaceAll('\\n', '\n') });
}
