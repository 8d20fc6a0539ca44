import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { main } from '../../src/cli/run.ts';
import { type Called, cli, type Line } from './cli.ts';
import { lossesOf } from './close.ts';
import { writeRows } from './golden-rows.ts';
import { writeTinyChatModel } from './tiny-chat-model.ts';

/** Options of `train`: true is a bare flag, undefined leaves one of the defaults out. */
export type Flags = Readonly<Record<string, string | number | true | undefined>>;

/** A run that came to its end. */
export interface Trained {
  readonly lines: readonly Line[];
  readonly losses: readonly number[];
  /** Its folder. */
  readonly run: string;
}

/** A tiny model, conversations, and a folder for runs. */
export interface Toys {
  readonly folder: string;
  readonly model: string;
  readonly chats: string;
}

/** Writes them into a folder. */
export function writeToys(folder: string): Toys {
  mkdirSync(folder, { recursive: true });
  const chats = writeRows(path.join(folder, 'chats.jsonl'), conversations());
  return { folder, model: writeTinyChatModel(path.join(folder, 'model')), chats };
}

/** Twelve conversations of different lengths, some of several turns, one with a weight of 0. */
function conversations() {
  const say = (role: string, content: string, more = {}) => ({ role, content, ...more });
  return Array.from({ length: 12 }, (_, i) => ({
    messages: [
      say('user', `Question ${i}: ${'why so long? '.repeat(i % 4)}`.trim()),
      say('assistant', `Answer ${i}.`, i === 3 ? { weight: 0 } : {}),
      ...(i % 2 === 0 ? [] : [say('user', 'And then?'), say('assistant', `Then ${'on '.repeat(i)}`.trim())]),
    ],
  }));
}

const DEFAULTS: Flags = { valid: 'none', lr: 1e-2, batch: 8, steps: 4, threads: 1, 'save-every': 4 };

/** The words of a command line that trains on the toys. */
export function trainArgs(toys: Toys, name: string, flags: Flags): string[] {
  const all: Flags = { model: toys.model, data: toys.chats, out: toys.folder, name, ...DEFAULTS, ...flags };
  const words = Object.entries(all).flatMap(([flag, value]) => {
    if (value === undefined) return [];
    return value === true ? [`--${flag}`] : [`--${flag}`, String(value)];
  });
  return ['train', ...words];
}

let runs = 0;

/** Trains on the toys in this process, in a run of a new name. */
export async function train(toys: Toys, flags: Flags = {}): Promise<Trained> {
  const name = `run-${runs++}`;
  const { exit, lines, stderr } = await cli(trainArgs(toys, name, flags));
  expect(exit, stderr).toBe(0);
  return { lines, losses: lossesOf(lines), run: path.join(toys.folder, name) };
}

/** Goes on with a run in this process. */
export async function resume(run: string, signal?: AbortSignal): Promise<Called> {
  return cli(['train', '--resume', run], signal);
}

/** Interrupts a run once it prints a text, and goes on with it. */
export async function interrupted(toys: Toys, name: string, flags: Flags, at: string): Promise<string> {
  const stop = new AbortController();
  const said: string[] = [];
  const stdout = { write: (text: string) => (text.includes(at) ? stop.abort() : undefined) };
  const stderr = { write: (text: string) => said.push(text) };
  const args = [...trainArgs(toys, name, flags), '--no-eval', '--json'];
  const exit = await main(args, { stdout, stderr, env: process.env, signal: stop.signal });
  expect(exit, said.join('')).toBe(130);
  const run = path.join(toys.folder, name);
  const again = await resume(run);
  expect(again.exit, again.stderr).toBe(0);
  return run;
}
