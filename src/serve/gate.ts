import { randomBytes } from 'node:crypto';
import { PLAIN_HEADERS } from './html.ts';

/** Lets people in by links that work once, and knows them by a cookie from then on. */
export interface Gate {
  /** The path of a link for somebody. */
  link(name: string): string;
  /** Who asks, or what he is answered instead. */
  pass(request: Request): { readonly name: string } | { readonly response: Response };
}

/**
 * Guards a page on the loopback interface. A page elsewhere can make a browser send requests here, under a name of its own that points to 127.0.0.1
 * (DNS rebinding) or without one: the Host header must be ours, the Origin of what changes something too, and the cookie is sent from our own page only.
 *
 * @param port that the page is reached by
 */
export function openGate(port: number): Gate {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  const tokens = new Map<string, string>();
  const sessions = new Map<string, string>();
  // Cookies do not know ports, so that two programs on one machine would share theirs.
  const cookie = `tunesmith-${port}`;
  const secret = () => randomBytes(32).toString('base64url');
  return {
    link: (name) => {
      const token = secret();
      tokens.set(token, name);
      return `/enter?token=${token}`;
    },
    pass: (request) => {
      if (!hosts.includes(request.headers.get('host') ?? '')) return refused('This page is at 127.0.0.1 only.');
      const origin = request.headers.get('origin');
      if (origin !== null && !hosts.some((host) => origin === `http://${host}`)) return refused('Another page asked.');
      if (request.method !== 'GET' && origin === null) return refused('It is not said which page asked.');
      const url = new URL(request.url);
      const session = cookieOf(request, cookie);
      const known = session === undefined ? undefined : sessions.get(session);
      const token = url.pathname === '/enter' ? (url.searchParams.get('token') ?? '') : '';
      const invited = tokens.get(token);
      if (invited !== undefined && request.method === 'GET') {
        tokens.delete(token);
        const id = secret();
        sessions.set(id, invited);
        const setCookie = `${cookie}=${id}; Path=/; HttpOnly; SameSite=Strict`;
        return {
          response: new Response(null, {
            status: 303,
            headers: { ...PLAIN_HEADERS, location: '/', 'set-cookie': setCookie },
          }),
        };
      }
      if (known === undefined)
        return refused(
          'This link was used already, or is none. The terminal shows a new one when you press Enter there.',
        );
      return { name: known };
    },
  };
}

function cookieOf(request: Request, name: string): string | undefined {
  const pairs = (request.headers.get('cookie') ?? '').split(';').map((pair) => pair.trim().split('='));
  return pairs.find(([key]) => key === name)?.[1];
}

function refused(message: string): { readonly response: Response } {
  const headers = { ...PLAIN_HEADERS, 'content-type': 'text/plain; charset=utf-8' };
  return { response: new Response(`${message}\n`, { status: 403, headers }) };
}
