import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { TunesmithError } from '../../errors/index.ts';
import type { HostTensor } from '../../tensor/tensor.ts';

/** What the process of a model file is asked. */
export interface FileRequest {
  readonly inputs: Readonly<Record<string, HostTensor>>;
}

/** What it answers. */
export type FileReply = { readonly outputs: Readonly<Record<string, HostTensor>> } | { readonly failure: string };

/** A model file in a process of its own, as any program would run it that knows nothing of us. */
export interface OpenModelFile {
  /** Inputs that the model does not have are ignored. One run at a time. @throws EXPORT_DIVERGED where it does not run, ENGINE_GONE */
  run(inputs: FileRequest['inputs']): Promise<Readonly<Record<string, HostTensor>>>;
  close(): Promise<void>;
}

/** Opens a model file, such as {@link modelFiles} writes. */
export function openModelFile(path: string, threads: number): OpenModelFile {
  const here = import.meta.url;
  const main = new URL(here.endsWith('.ts') ? './file-main.ts' : './file-main.js', here);
  const child = fork(fileURLToPath(main), [path, String(threads)], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
    detached: process.platform !== 'win32',
  });
  const gone = once(child, 'exit').then(([code, signal]): FileReply => {
    throw new TunesmithError('ENGINE_GONE', {
      message: `the process that runs ${path} ended with ${String(signal ?? `exit code ${String(code)}`)}.`,
    });
  });
  gone.catch(() => {});
  return {
    async run(inputs) {
      const answer = once(child, 'message').then(([reply]) => reply as FileReply);
      child.send({ inputs } satisfies FileRequest, () => {});
      const reply = await Promise.race([answer, gone]);
      if ('outputs' in reply) return reply.outputs;
      throw new TunesmithError('EXPORT_DIVERGED', {
        file: path,
        message: `is not run by ONNX Runtime: ${reply.failure.trim()}`,
        fix: 'report it: this model cannot be written in this format yet',
      });
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
