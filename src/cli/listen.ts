import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TunesmithError } from '../errors/index.ts';

/** A server on the loopback interface. */
export interface Listening {
  readonly port: number;
  /** Answers what was asked already, then closes. */
  close(): Promise<void>;
}

/** Bytes of a request that are read at most. */
const MOST = 1 << 20;

/**
 * Listens on 127.0.0.1, which no other machine can reach.
 *
 * @param handlerOf makes what answers requests, once the port is known
 * @param port 0 takes a free one
 * @throws SERVE_PORT
 */
export async function listen(
  handlerOf: (port: number) => (request: Request) => Promise<Response>,
  port = 0,
): Promise<Listening> {
  let handle: (request: Request) => Promise<Response> = async () => new Response(null, { status: 503 });
  const server = createServer((request, response) => {
    answer(request, response, handle).catch((error: unknown) => {
      process.stderr.write(`internal: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      response.writeHead(500).end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const message =
        cause.code === 'EADDRINUSE' ? `port ${port} is taken.` : `port ${port} cannot be opened (${cause.code}).`;
      reject(new TunesmithError('SERVE_PORT', { message, cause }));
    });
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: own } = server.address() as AddressInfo;
  handle = handlerOf(own);
  return {
    port: own,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        // A browser may hold its connection open for as long as it likes.
        setTimeout(() => server.closeAllConnections(), 200).unref();
      }),
  };
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: (request: Request) => Promise<Response>,
): Promise<void> {
  const body = await bodyOf(incoming);
  if (body === undefined) return void outgoing.writeHead(413, { connection: 'close' }).end();
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of Array.isArray(value) ? value : [value ?? '']) headers.append(name, one);
  }
  const method = incoming.method ?? 'GET';
  const isBare = method === 'GET' || method === 'HEAD';
  const path = URL.parse(incoming.url ?? '/', 'http://127.0.0.1') ?? new URL('http://127.0.0.1/');
  const response = await handle(new Request(path, { method, headers, ...(isBare ? {} : { body }) }));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
}

/** The body, or undefined if it is too long. */
async function bodyOf(incoming: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MOST) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
