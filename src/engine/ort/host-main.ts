import { createHost } from '../host.ts';
import type { HostReply, HostRequest } from '../protocol.ts';
import type { OrtOptions } from './driver.ts';
import { openDriver } from './drivers.ts';

/**
 * Entry of the engine process: serves requests in order until its parent is gone.
 * A terminal sends SIGINT to the whole group; the parent decides when to stop, so it is ignored here.
 */
async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGBREAK'] as const) process.on(signal, () => {});
  const options = JSON.parse(process.argv[2]!) as OrtOptions;
  const host = createHost(await openDriver(options));
  let last: Promise<void> = Promise.resolve();
  process.on('message', (requests) => {
    last = last.then(async () => {
      for (const request of requests as readonly HostRequest[]) {
        const reply: HostReply | undefined = await host.handle(request);
        // A parent that is gone takes no answer, and nobody is left to be told so.
        if (reply !== undefined) process.send?.(reply, undefined, undefined, (error) => error && process.exit(0));
      }
    });
  });
  process.on('disconnect', () => process.exit(0));
}

await main();
