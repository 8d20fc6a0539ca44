import { z } from 'zod';
import type { Standing } from '../align/ranking/derive.ts';
import type { Action, Desk } from '../align/ranking/desk.ts';
import { keyAction } from '../align/ranking/keys.ts';
import type { Gate } from './gate.ts';
import { PLAIN_HEADERS } from './html.ts';
import { farewellHtml, pageHtml, RANKING_HEADERS, viewHtml } from './ranking-page.ts';

/** What the page of rankings is made of. */
export interface RankingService {
  readonly desk: Desk;
  readonly gate: Gate;
  /** Shown once a rater is through: only then may he know who won. */
  standings(rater: string): readonly Standing[];
  /** A rater says that he is through. */
  finish(rater: string): void;
}

const at = z.number().int().min(0).max(8);
const text = z.string().max(100_000);

/** What the page may send. */
const sentSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('key'), key: z.string().max(20) }),
  z.object({ type: z.literal(['pick', 'worst', 'good', 'bad', 'edit']), at }),
  z.object({ type: z.literal('edited'), at, text }),
  z.object({ type: z.literal('reasoned'), text }),
  z.object({ type: z.literal(['all-tied', 'clear', 'reason', 'cancel', 'save', 'skip', 'undo', 'finish']) }),
]);

/** Answers requests for the page, its state and what people do on it. Pure but for the desk. */
export function rankingHandler({
  desk,
  gate,
  standings,
  finish,
}: RankingService): (request: Request) => Promise<Response> {
  const through = new Set<string>();
  const state = (rater: string): Response => {
    const view = desk.view(rater);
    if (through.has(rater)) return json({ html: farewellHtml(), step: '' });
    return json({
      html: viewHtml(view, view.step === undefined ? standings(rater) : []),
      step: view.step?.item.id ?? '',
      isDrawing: view.isDrawing,
    });
  };
  return async (request) => {
    const passed = gate.pass(request);
    if ('response' in passed) return passed.response;
    const rater = passed.name;
    const { pathname } = new URL(request.url);
    switch (`${request.method} ${pathname}`) {
      case 'GET /': {
        const view = desk.view(rater);
        return new Response(pageHtml(viewHtml(view, view.step === undefined ? standings(rater) : []), rater), {
          headers: RANKING_HEADERS,
        });
      }
      case 'GET /enter':
        // Whoever is known already need not enter again.
        return new Response(null, { status: 303, headers: { ...PLAIN_HEADERS, location: '/' } });
      case 'GET /state':
        return state(rater);
      case 'POST /act': {
        const sent = sentSchema.safeParse(await bodyOf(request));
        if (!sent.success) return json({ error: 'This is nothing that the page sends.' }, 400);
        if (sent.data.type === 'finish') {
          through.add(rater);
          finish(rater);
        } else {
          const action = actionOf(sent.data);
          if (action !== undefined) desk.act(rater, action);
        }
        return state(rater);
      }
      default:
        return json({ error: 'There is nothing here.' }, 404);
    }
  };
}

function actionOf(sent: Exclude<z.infer<typeof sentSchema>, { type: 'finish' }>): Action | undefined {
  if (sent.type !== 'key') return sent as Action;
  const action = keyAction(sent.key);
  return action === undefined || action.type === 'help' || action.type === 'quit' ? undefined : action;
}

async function bodyOf(request: Request): Promise<unknown> {
  try {
    return await request.json();
  } catch {
    return undefined;
  }
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { ...PLAIN_HEADERS, 'content-type': 'application/json' },
  });
}
