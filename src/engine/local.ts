import type { HostTensor } from '../tensor/tensor.ts';
import type { Transport } from './client.ts';
import type { HostReply, HostRequest } from './protocol.ts';

/**
 * A host in this process. Runs block its event loop: for tests and short programs.
 * Tensors are copied at the border as they are between processes: the host reuses the memory of released handles.
 */
export function localTransport(host: { handle(request: HostRequest): Promise<HostReply | undefined> }): Transport {
  let listener: (reply: HostReply) => void = () => {};
  let last: Promise<void> = Promise.resolve();
  return {
    send(sent) {
      const request = sent.kind === 'upload' ? { ...sent, source: copied(sent.source) } : sent;
      last = last.then(async () => {
        const reply = await host.handle(request);
        if (reply !== undefined) listener({ ...reply, value: copied(reply.value) });
      });
    },
    onReply(next) {
      listener = next;
    },
    onGone() {},
    close: () => last,
  };
}

function copied<T>(value: T): T {
  const tensor = value as HostTensor | undefined;
  return tensor?.data === undefined ? value : { ...value, data: tensor.data.slice() };
}
