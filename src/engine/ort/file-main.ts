import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { DType, HostTensor } from '../../tensor/tensor.ts';
import { ONNX_TYPE } from './driver.ts';
import type { FileReply, FileRequest } from './open-file.ts';

/** Entry of a process that runs one model file until its parent is gone: arguments are the file and the number of threads. */
async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGBREAK'] as const) process.on(signal, () => {});
  process.on('disconnect', () => process.exit(0));
  const ort = await import('onnxruntime-node');
  const wrap = ({ dtype, shape, data }: HostTensor): Tensor =>
    new ort.Tensor(ONNX_TYPE[dtype], data as Float32Array, [...shape]);
  const session = ort.InferenceSession.create(process.argv[2]!, {
    intraOpNumThreads: Number(process.argv[3]),
    logSeverityLevel: 4,
  });
  // Its failure is told with the first request.
  session.catch(() => {});
  process.on('message', async (request) => {
    const reply = await replyTo(session, request as FileRequest, wrap);
    process.send?.(reply, undefined, undefined, (error) => error && process.exit(0));
  });
}

async function replyTo(
  opened: Promise<InferenceSession>,
  { inputs }: FileRequest,
  wrap: (tensor: HostTensor) => Tensor,
): Promise<FileReply> {
  try {
    const session = await opened;
    const given = session.inputNames
      .filter((name) => name in inputs)
      .map((name) => [name, wrap(inputs[name]!)] as const);
    const outputs = await session.run(Object.fromEntries(given));
    return {
      outputs: Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, hostOf(value as Tensor)])),
    };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

function hostOf({ type, dims, data }: Tensor): HostTensor {
  const dtype = (Object.keys(ONNX_TYPE) as DType[]).find((known) => ONNX_TYPE[known] === type);
  if (dtype === undefined) throw new Error(`internal: a result of type ${type}`);
  return { dtype, shape: dims, data: data as Float32Array };
}

await main();
