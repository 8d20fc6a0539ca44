import { FORWARDED_KEYS } from '../align/ranking/keys.ts';

/**
 * What the page of rankings does by itself: it sends keys, clicks and texts, and shows what comes back. All that they mean is decided by the desk, for the
 * browser as for the terminal. Actions go one after the other, and a key that is pressed before the answer to the last one is there waits: it may belong into
 * the text that this one opens.
 */
export const RANKING_SCRIPT = `'use strict';
const main = document.querySelector('main');
const dialog = document.querySelector('dialog');
const keys = new Set(${JSON.stringify(FORWARDED_KEYS)});
let busy = 0;
let waiting = [];
let queue = Promise.resolve();
let step;

async function ask(path, options) {
  try {
    const response = await window.fetch(path, options);
    if (!response.ok) throw new Error(String(response.status));
    show(await response.json());
    document.getElementById('lost').hidden = true;
  } catch {
    document.getElementById('lost').hidden = false;
  }
}

function enqueue(path, options) {
  busy++;
  queue = queue.then(() => ask(path, options)).then(() => {
    busy--;
    while (busy === 0 && waiting.length > 0) take(waiting.shift());
  });
}

function send(action) {
  const body = JSON.stringify(action);
  enqueue('/act', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
}

function take(key) {
  const field = document.activeElement;
  if (field.tagName !== 'TEXTAREA') return isKnown(key) ? send({ type: 'key', key }) : undefined;
  if (key === 'Escape') return send({ type: 'cancel' });
  const text = key === 'Enter' ? '\\n' : key;
  if (text.length === 1) field.setRangeText(text, field.selectionStart, field.selectionEnd, 'end');
}

function isKnown(key) {
  return keys.has(key.length === 1 ? key.toLowerCase() : key);
}

function show(state) {
  const focused = document.activeElement && document.activeElement.id;
  main.innerHTML = state.html;
  const isNew = step !== state.step;
  step = state.step;
  if (isNew) scrollTo(0, 0);
  const next = main.querySelector('[data-focus]') || (isNew ? main : focused && document.getElementById(focused)) || main;
  next.focus({ preventScroll: next === main });
  if (next.select && next.value) next.setSelectionRange(next.value.length, next.value.length);
  watch();
}

function watch() {
  if (main.querySelector('[data-poll]')) setTimeout(() => enqueue('/state'), 700);
}

function submit(form) {
  send({ ...JSON.parse(form.dataset.send), text: form.querySelector('textarea').value });
}

document.addEventListener('submit', (event) => {
  if (!event.target.dataset.send) return;
  event.preventDefault();
  submit(event.target);
});

document.addEventListener('click', (event) => {
  if (event.target.closest('[data-help]')) return dialog.showModal();
  const target = event.target.closest('[data-act]');
  // Whoever marks text to copy it does not rank it.
  if (target && (target.tagName === 'BUTTON' || getSelection().isCollapsed)) send(JSON.parse(target.dataset.act));
});

document.addEventListener('keydown', (event) => {
  const { key, target } = event;
  const isWriting = target.tagName === 'TEXTAREA';
  const hasModifier = event.ctrlKey || event.metaKey;
  if (dialog.open || event.altKey) return;
  if (busy > 0 && !hasModifier && (isKnown(key) || key.length === 1)) waiting.push(key);
  else if (isWriting && key === 'Escape') send({ type: 'cancel' });
  else if (isWriting && key === 'Enter' && hasModifier) submit(target.form);
  else if (isWriting || hasModifier || event.repeat) return;
  else if (key === '?') dialog.showModal();
  else if ((key === 'Enter' || key === ' ') && target.tagName === 'BUTTON') return;
  else if (isKnown(key)) send({ type: 'key', key });
  else return;
  event.preventDefault();
});

watch();
`;
