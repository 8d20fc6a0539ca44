import type { Transport } from './client.ts';
import type { HostReply, HostRequest } from './protocol.ts';

/** A host in this process. Runs block its event loop: for tests and short programs. */
export function localTransport(host: { handle(request: HostRequest): Promise<HostReply | undefined> }): Transport {
  let listener: (reply: HostReply) => void = () => {};
  let last: Promise<void> = Promise.resolve();
  return {
    send(request) {
      last = last.then(async () => {
        const reply = await host.handle(request);
        if (reply !== undefined) listener(reply);
      });
    },
    onReply(next) {
      listener = next;
    },
    onGone() {},
    close: () => last,
  };
}
