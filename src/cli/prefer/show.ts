import type { Step, View } from '../../align/ranking/desk.ts';
import { type Draft, draftRanking } from '../../align/ranking/draft.ts';
import { pendingText } from '../../align/ranking/keys.ts';
import { promptParts } from '../../align/ranking/words.ts';
import type { Terminal } from '../terminal.ts';

/** Lines no longer than `width`, broken at blanks; line ends of the text stay. */
export function wrapped(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    const lines: string[] = [];
    let rest = line;
    while (rest.length > width) {
      const at = rest.lastIndexOf(' ', width);
      const end = at > width / 3 ? at : width;
      lines.push(rest.slice(0, end));
      rest = rest.slice(end).trimStart();
    }
    return [...lines, rest];
  });
}

/** Text of a model without what would steer the terminal. */
export function harmless(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu, '\ufffd');
}

/** The prompt and its answers. */
export function stepText({ step, progress }: View & { readonly step: Step }, { columns, colours }: Terminal): string {
  const width = Math.min(columns, 100) - 4;
  const head = `── ${progress.done + 1} of ${progress.total} `;
  const block = (text: string, first: string) =>
    wrapped(harmless(text), width)
      .map((line, i) => (i === 0 ? first : '    ') + line)
      .join('\n');
  return [
    colours.dim(head.padEnd(width + 4, '─')),
    ...promptParts(step.item).map(({ role, text }) => `${colours.dim(role)}\n${block(text, '    ')}`),
    '',
    ...step.texts.map((text, at) => `${block(text, `${colours.bold(String(at + 1))}   `)}\n`),
  ].join('\n');
}

/** The draft in one line: what is chosen, what is awaited. */
export function statusText(draft: Draft, count: number): string {
  const names = (places: readonly number[]) => places.map((at) => at + 1).join(' = ');
  const ranking = draftRanking(draft, count);
  const order = ranking?.groups.map((group, i) => (i === ranking.uncompared ? '…' : names(group))).join(' > ');
  const parts = [
    order ?? '',
    draft.good.length === 0 ? '' : `good ${draft.good.map((at) => at + 1).join(' ')}`,
    draft.bad.length === 0 ? '' : `bad ${draft.bad.map((at) => at + 1).join(' ')}`,
    draft.edits.size === 0 ? '' : `mended ${[...draft.edits.keys()].map((at) => at + 1).join(' ')}`,
    draft.reason === '' ? '' : `because: ${draft.reason.length > 40 ? `${draft.reason.slice(0, 39)}…` : draft.reason}`,
    pendingText(draft),
    draft.note,
  ];
  return parts.filter((part) => part !== '').join(' · ');
}
