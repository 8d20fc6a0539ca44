import { describe, expect, it } from 'vitest';
import { openDesk } from '../align/ranking/desk.ts';
import { itemId } from '../align/ranking/log.ts';
import { createRankings } from '../align/ranking/rankings.ts';
import { openGate } from './gate.ts';
import { rankingHandler } from './ranking.ts';

const HOST = '127.0.0.1:4000';

function serve(answers: readonly string[] = ['one', '<script>alert(1)</script>']) {
  const rankings = createRankings(1);
  const prompt = [{ role: 'user', content: 'Which "one"?' } as const];
  const item = {
    id: itemId(prompt, answers),
    prompt,
    answers: answers.map((text, i) => ({ text, by: `secret-${i}` })),
  };
  rankings.add({ type: 'item', item });
  const gate = openGate(4000);
  const finished: string[] = [];
  const desk = openDesk({ rankings, add: rankings.add }, { axes: ['overall'], now: () => new Date(0) });
  const handle = rankingHandler({ desk, gate, standings: () => [], finish: (rater) => void finished.push(rater) });
  const get = (path: string, headers: Record<string, string> = {}) =>
    handle(new Request(`http://${HOST}${path}`, { headers: { host: HOST, ...headers } }));
  const enter = async (rater = 'ada') => {
    const response = await get(gate.link(rater));
    return (response.headers.get('set-cookie') ?? '').split(';')[0]!;
  };
  const act = (cookie: string, body: unknown, headers: Record<string, string> = {}) =>
    handle(
      new Request(`http://${HOST}/act`, {
        method: 'POST',
        headers: { host: HOST, cookie, origin: `http://${HOST}`, 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    );
  return { rankings, gate, finished, get, enter, act };
}

describe('the gate', () => {
  it('lets in by a link that works once, and by the cookie from then on', async () => {
    const { gate, get } = serve();
    const link = gate.link('ada');
    const first = await get(link);
    expect(first.status).toBe(303);
    expect(first.headers.get('set-cookie')).toMatch(/^tunesmith-4000=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    expect((await get(link)).status).toBe(403);
    expect((await get('/')).status).toBe(403);
    const cookie = first.headers.get('set-cookie')!.split(';')[0]!;
    expect((await get('/', { cookie })).status).toBe(200);
    expect((await get(link, { cookie })).status).toBe(303);
    expect((await get('/', { cookie: 'tunesmith-4000=guessed' })).status).toBe(403);
  });

  it.each([
    ['a name that was pointed here', { host: 'evil.example:4000' }],
    ['another port', { host: '127.0.0.1:80' }],
    ['another page', { origin: 'http://evil.example' }],
    ['no page', { origin: 'null' }],
  ])('refuses %s', async (_, headers) => {
    const { enter, get, act, rankings } = serve();
    const cookie = await enter();
    expect((await get('/', { cookie, ...headers })).status).toBe(403);
    expect((await act(cookie, { type: 'skip' }, headers)).status).toBe(403);
    expect(rankings.judgements()).toEqual([]);
  });
});

describe('the page of rankings', () => {
  it('shows answers as text, without their sources, under a policy that lets nothing else in', async () => {
    const { enter, get } = serve();
    const response = await get('/', { cookie: await enter() });
    const html = await response.text();
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(html).not.toContain('secret-');
    expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org|127)/);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+';/);
    expect(policy).not.toContain('unsafe');
  });

  it('takes keys and texts for the rater who sent them', async () => {
    const { enter, act, rankings, finished } = serve();
    const [ada, ben] = [await enter('ada'), await enter('ben')];
    for (const key of ['2', 'Enter']) await act(ada, { type: 'key', key });
    await act(ben, { type: 'edited', at: 0, text: 'better' });
    await act(ben, { type: 'reasoned', text: 'why' });
    const state = (await (await act(ben, { type: 'save' })).json()) as { html: string };
    expect(state.html).toContain('All judged');
    expect(rankings.judgements().map(({ rater, opinion }) => [rater.name, Object.keys(opinion!)])).toEqual([
      ['ada', ['ranking']],
      ['ben', ['edits', 'reason']],
    ]);
    await act(ben, { type: 'finish' });
    expect(finished).toEqual(['ben']);
  });

  it.each(['', 'no json', '{}', '{"type":"pick","at":99}', '{"type":"save","at":"x"', '{"type":"key","key":3}', '[1]'])(
    'refuses %s',
    async (body) => {
      const { enter, act, rankings } = serve();
      expect((await act(await enter(), body)).status).toBe(400);
      expect(rankings.judgements()).toEqual([]);
    },
  );
});
