import { describe, expect, it } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import { openConversation } from './conversation.ts';
import type { ModelSession } from './domain.ts';

/** A model that answers with what it was shown. */
function echo(hasAdapter = true, system?: string): ModelSession {
  return {
    hasAdapter,
    format: 'chat',
    system,
    contextLength: 100,
    roundedByFast: {},
    questions: () => Promise.reject(new Error('a chat reads no file')),
    identity: () => Promise.reject(new Error('a chat compares no models')),
    async *generate([prompt], { base, signal }) {
      if (signal.aborted) return;
      const shown = prompt?.kind === 'messages' ? prompt.messages.map((m) => m.content).join('|') : '';
      if (shown.length > 60) throw new TunesmithError('GENERATE_PROMPT', { message: 'the prompt is too long.' });
      const text = `${base ? 'base' : 'tuned'}(${shown})`;
      yield { type: 'token', index: 0, text };
      const counts = { promptTokens: 1, tokens: 1, tokensPerSecond: 1 };
      yield { type: 'result', index: 0, text, ids: [1], stop: 'eot', ...counts };
    },
    close: async () => {},
  };
}

function open(session = echo(), system?: string) {
  const said: string[] = [];
  const kept: object[] = [];
  const results: string[] = [];
  const io = {
    stream: (text: string) => void said.push(text),
    print: (text: string) => void (text !== '' && said.push(text)),
    result: ({ text }: { readonly text: string }) => void results.push(text),
    feedback: (row: object) => {
      kept.push(row);
      return 'f.jsonl';
    },
  };
  const sampling = { maxTokens: 9, temperature: 0, seed: 0, stop: [], precision: 'exact' } as const;
  const chat = openConversation(session, io, { sampling, system });
  const take = (line: string, signal = new AbortController().signal) => chat.take(line, signal);
  return { said, kept, results, take };
}

describe('openConversation', () => {
  it('shows the whole conversation each time, and starts anew on /reset and /system', async () => {
    const { said, take } = open(echo(), 'S');
    for (const line of ['a', 'b', '/reset', 'c', '/system T', 'd']) expect(await take(line)).toBe(true);
    expect(said.filter((s) => s.startsWith('tuned'))).toEqual([
      'tuned(S|a)',
      'tuned(S|a|tuned(S|a)|b)',
      'tuned(S|c)',
      'tuned(T|d)',
    ]);
  });

  it('switches between base and tuned', async () => {
    const { said, take } = open();
    for (const line of ['/base', 'a', '/reset', '/base', 'a']) await take(line);
    expect(said.filter((s) => s.includes('('))).toEqual(['base(a)', 'tuned(a)']);
    const without = open(echo(false));
    await without.take('/base');
    expect(without.said[0]).toMatch(/no adapter/);
  });

  it('keeps feedback as rows of preference training', async () => {
    const { kept, take } = open(echo(), 'S');
    await take('/good');
    expect(kept).toEqual([]);
    for (const line of ['a', '/good', '/bad', '/fix better', 'b']) await take(line);
    const prompt = [
      { role: 'system', content: 'S' },
      { role: 'user', content: 'a' },
    ];
    const answer = { role: 'assistant', content: 'tuned(S|a)' };
    expect(kept).toEqual([
      { prompt, completion: [answer], label: true },
      { prompt, completion: [answer], label: false },
      { prompt, chosen: [{ role: 'assistant', content: 'better' }], rejected: [answer] },
    ]);
  });

  it('leaves on /exit, and says what it does not know', async () => {
    const { said, take } = open();
    expect(await take('/exit')).toBe(false);
    expect(await take('/nothing')).toBe(true);
    expect(said[0]).toContain('There is no /nothing.');
    expect(await take('/sytem x')).toBe(true);
    expect(said[1]).toContain('Did you mean /system?');
    expect(await take('/help')).toBe(true);
    expect(said[2]).toContain('/fix TEXT');
    expect(await take(' /etc/hosts?')).toBe(true);
    expect(said[3]).toBe('tuned(/etc/hosts?)');
  });

  it('keeps no answer that was broken off, and says so', async () => {
    const { said, results, kept, take } = open();
    await take('a');
    await take('b', AbortSignal.abort());
    expect(said.at(-1)).toMatch(/not kept/);
    await take('c');
    expect(results).toEqual(['tuned(a)', 'tuned(a|tuned(a)|c)']);
    expect(kept).toEqual([]);
  });

  it('goes on after a question that does not fit', async () => {
    const { said, take } = open();
    expect(await take('x'.repeat(70))).toBe(true);
    expect(said.join('\n')).toMatch(/GENERATE_PROMPT the prompt is too long.*\n\/reset/);
    await take('a');
    expect(said.at(-1)).toBe('tuned(a)');
  });

  it("begins with the run's system prompt, shows it, and keeps it in feedback", async () => {
    const { said, kept, take } = open(echo(true, 'Run'));
    for (const line of ['/system', 'a', '/good', '/system Mine', 'b', '/system off', 'c']) await take(line);
    expect(said[0]).toBe('Run');
    expect(kept).toMatchObject([{ prompt: [{ role: 'system', content: 'Run' }, { content: 'a' }] }]);
    expect(said.filter((s) => s.startsWith('tuned'))).toEqual(['tuned(Run|a)', 'tuned(Mine|b)', 'tuned(Run|c)']);
  });
});
