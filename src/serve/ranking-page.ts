import type { Standing } from '../align/ranking/derive.ts';
import type { Step, View } from '../align/ranking/desk.ts';
import { type Draft, draftRanking, placeText } from '../align/ranking/draft.ts';
import { KEY_HELP, pendingText } from '../align/ranking/keys.ts';
import { promptParts, QUESTIONS, SINGLE_QUESTION } from '../align/ranking/words.ts';
import { escaped } from '../evaluate/html.ts';
import { dataOf, pageHeaders } from './html.ts';
import { RANKING_SCRIPT } from './ranking-script.ts';
import { RANKING_STYLE } from './ranking-style.ts';

/** Headers of the page. */
export const RANKING_HEADERS = pageHeaders(RANKING_STYLE, RANKING_SCRIPT);

const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#3b5bdb"/><path d="M4 11V8m4 3V4m4 7V6" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>',
)}`;

/** The page, with what is shown first in it. It loads nothing else. */
export function pageHtml(view: string, rater: string): string {
  const keys = KEY_HELP.map(
    ([key, what]) => `<dt>${key.split(' ').map(keyHtml).join(' ')}</dt><dd>${escaped(what)}</dd>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>tunesmith prefer</title><link rel="icon" href="${ICON}"><style>${RANKING_STYLE}</style></head>
<body><main tabindex="-1">${view}</main>
<p id="lost" role="alert" hidden>tunesmith does not answer any more. What you saved is in the file; start the same command to go on.</p>
<dialog aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2><dl>${keys.join('')}</dl>
<p class="quiet">You judge as ${escaped(rater)}. Who wrote which answer stays hidden until the end.</p>
<form method="dialog"><button autofocus>Close</button></form></dialog>
<script>${RANKING_SCRIPT}</script></body></html>
`;
}

const keyHtml = (word: string) => (/^(then|or|and)$/.test(word) ? word : `<kbd>${escaped(word)}</kbd>`);

/** What stands in the page at the moment. */
export function viewHtml(view: View, standings: readonly Standing[]): string {
  const { step, isDrawing } = view;
  const head = headHtml(view);
  if (step === undefined) return head + (isDrawing ? waitingHtml() : doneHtml(view, standings));
  const single = step.texts.length === 1 && step.axis === 'overall';
  return `${head}
<section class="prompt" aria-label="Prompt">${promptHtml(step)}</section>
<h1>${single ? SINGLE_QUESTION : QUESTIONS[step.axis]}</h1>
<ol class="answers n${step.texts.length}">${step.texts.map((text, at) => answerHtml(view.draft, step, text, at)).join('')}</ol>
${barHtml(view, step)}`;
}

function headHtml({ progress: { done, total }, canUndo }: View): string {
  return `<header class="top"><progress max="${Math.max(1, total)}" value="${done}" aria-label="judged"></progress>
<span class="count">${done} of ${total}</span>
${actionButton('undo', { type: 'undo' }, 'Undo', 'u', canUndo ? '' : ' disabled')}<button id="help" type="button" data-help aria-keyshortcuts="?">Keys <kbd>?</kbd></button></header>`;
}

function promptHtml({ item }: Step): string {
  return promptParts(item)
    .map(
      ({ role, text }) =>
        `<div class="turn ${role}"><span class="role">${role}</span><div class="text">${escaped(text)}</div></div>`,
    )
    .join('');
}

function answerHtml(draft: Draft, step: Step, text: string, at: number): string {
  const place = placeText(draft, at);
  const number = at + 1;
  const isEdited = draft.edits.has(at);
  const states = [
    place === '' ? '' : 'placed',
    place === 'worst' ? 'worst' : '',
    draft.good.includes(at) ? 'good' : '',
    draft.bad.includes(at) ? 'bad' : '',
  ];
  const label = place === '' ? '' : `<span class="place">${place === 'worst' ? 'worst' : ordinal(place)}</span>`;
  const marks = `${draft.good.includes(at) ? '<span class="mark">good</span>' : ''}${draft.bad.includes(at) ? '<span class="mark">bad</span>' : ''}${isEdited ? '<span class="mark edited">mended</span>' : ''}`;
  const body = draft.writing === at ? editHtml(draft, text, at) : textHtml(draft, step, text, at);
  return `<li class="${states.filter((state) => state !== '').join(' ')}"><article aria-label="Answer ${number}">
<header><span class="number">${number}</span>${label}${marks}</header>${body}
<footer>${
    step.texts.length > 1
      ? button(
          `pick${at}`,
          { type: 'pick', at },
          rankLabel(step, place),
          draft.groups.some((group) => group.includes(at)),
        )
      : ''
  }
${button(`good${at}`, { type: 'good', at }, 'Good', draft.good.includes(at))}${button(`bad${at}`, { type: 'bad', at }, 'Bad', draft.bad.includes(at))}
${step.texts.length > 2 ? button(`worst${at}`, { type: 'worst', at }, 'Worst', draft.worst === at) : ''}${button(`edit${at}`, { type: 'edit', at }, 'Mend', isEdited)}</footer></article></li>`;
}

/** The text itself can be clicked: that ranks it. */
function textHtml(draft: Draft, step: Step, text: string, at: number): string {
  const own = draft.edits.get(at);
  const act = step.texts.length > 1 ? ` data-act="${dataOf({ type: 'pick', at })}"` : '';
  const mended =
    own === undefined ? '' : `<div class="text mended"><span class="role">your text</span>${escaped(own)}</div>`;
  return `<div class="text"${act}>${escaped(text)}</div>${mended}`;
}

function editHtml(draft: Draft, text: string, at: number): string {
  const own = draft.edits.get(at) ?? text;
  return `<form class="write" data-send="${dataOf({ type: 'edited', at })}"><label for="write">Write the better answer</label>
<textarea id="write" rows="${Math.min(16, 3 + own.split('\n').length + Math.floor(own.length / 60))}" data-focus>${escaped(own)}</textarea>
${writeButtons()}</form>`;
}

function reasonHtml({ reason, writing }: Draft): string {
  if (writing !== 'reason')
    return reason === '' ? '' : `<p class="reason"><span class="role">because</span>${escaped(reason)}</p>`;
  return `<form class="write reason" data-send="${dataOf({ type: 'reasoned' })}"><label for="write">Why? (optional)</label>
<textarea id="write" rows="2" data-focus>${escaped(reason)}</textarea>${writeButtons()}</form>`;
}

const writeButtons = () =>
  `<div class="row"><button class="main" type="submit">Keep <kbd>Ctrl Enter</kbd></button>${actionButton('cancel', { type: 'cancel' }, 'Cancel', 'Esc')}</div>`;

function barHtml({ draft }: View, step: Step): string {
  const many = step.texts.length > 1;
  const ranking = draftRanking(draft, step.texts.length);
  const order = ranking?.groups
    .map((group, i) => (i === ranking.uncompared ? 'the others' : group.map((at) => at + 1).join(' = ')))
    .join(' &gt; ');
  const status = [order ?? '', escaped(pendingText(draft)), escaped(draft.note)]
    .filter((part) => part !== '')
    .join(' · ');
  const hint =
    step.texts.length > 2
      ? `Press 1 to ${step.texts.length}, the best one first`
      : many
        ? 'Press 1 or 2'
        : 'Press g or b';
  return `<footer class="bar">${reasonHtml(draft)}<p id="status" role="status">${status === '' ? `<span class="quiet">${hint}</span>` : status}</p>
<div class="row">${actionButton('reason', { type: 'reason' }, 'Why', 'r')}${many ? actionButton('tie', { type: 'all-tied' }, 'Tie', 't') : ''}${actionButton('clear', { type: 'clear' }, 'Clear', 'x')}${actionButton('skip', { type: 'skip' }, 'Skip', 's')}<button id="save" class="main" type="button" data-act="${dataOf({ type: 'save' })}" aria-keyshortcuts="Enter">Save <kbd>Enter</kbd></button></div></footer>`;
}

function button(id: string, action: unknown, label: string, isOn: boolean): string {
  return `<button id="${id}" type="button" data-act="${dataOf(action)}" aria-pressed="${isOn}">${label}</button>`;
}

function actionButton(id: string, action: unknown, label: string, key: string, attributes = ''): string {
  return `<button id="${id}" type="button" data-act="${dataOf(action)}" aria-keyshortcuts="${key}"${attributes}>${label} <kbd>${key}</kbd></button>`;
}

function rankLabel({ texts }: Step, place: string): string {
  if (place !== '' && place !== 'worst') return 'Unrank';
  return texts.length === 2 ? 'Better' : 'Rank next';
}

function ordinal(place: string): string {
  const number = Number.parseInt(place, 10);
  return `${number}${['st', 'nd', 'rd'][number - 1] ?? 'th'}${place.endsWith('=') ? ' =' : ''}`;
}

const waitingHtml = () =>
  `<section class="alone" data-poll><div class="spinner" aria-hidden="true"></div><h1>Drawing answers</h1><p class="quiet">The next prompt appears by itself.</p></section>`;

function doneHtml({ progress }: View, standings: readonly Standing[]): string {
  const rows = standings.map(
    ({ by, won, of }) =>
      `<tr><td>${escaped(by)}</td><td>${won} of ${of}</td><td><meter min="0" max="1" value="${won / of}"></meter> ${Math.round((100 * won) / of)} %</td></tr>`,
  );
  const table =
    rows.length < 2
      ? ''
      : `<table><caption>Who was preferred</caption><thead><tr><th>Answers of</th><th>preferred</th><th>share</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
  return `<section class="alone"><h1>${progress.total === 0 ? 'Nothing to judge' : 'All judged'}</h1><p>Everything is saved. Undo takes the last judgement back.</p>${table}
<button id="finish" class="main" type="button" data-act="${dataOf({ type: 'finish' })}" data-focus>Finish</button></section>`;
}

/** What stands there once a rater is through. */
export function farewellHtml(): string {
  return '<section class="alone"><h1>Thank you</h1><p>Everything is saved. You can close this page.</p></section>';
}
