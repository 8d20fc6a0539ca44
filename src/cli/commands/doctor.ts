import { availableParallelism, freemem, totalmem } from 'node:os';
import { cachedModels } from '../../io/cache.ts';
import { freeDiskBytes } from '../../io/files.ts';
import { version } from '../../io/version.ts';
import { type Context, defineCommand } from '../command.ts';
import type { Check } from '../domain.ts';
import { bytesText } from '../format.ts';
import { domain } from '../wiring.ts';

/** `tunesmith doctor`. */
export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Checks this machine: versions, memory, devices, that nothing phones home, and that the numbers are right.',
  positionals: [],
  options: {},
  examples: ['doctor', 'doctor --json'],
  async run(_args, context) {
    const { terminal, signal } = context;
    let failed = 0;
    const tell = (check: Check) => {
      if (check.status === 'failed') failed++;
      terminal.emit({ type: 'check', ...check });
      const { green, red, yellow } = terminal.colours;
      const mark = { ok: green('ok     '), warning: yellow('warning'), failed: red('FAILED ') }[check.status];
      terminal.print(`${mark}  ${check.name.padEnd(12)}  ${check.detail}`);
    };
    for (const check of surroundings(context)) tell(check);
    for await (const check of domain.checkEngine(signal)) tell(check);
    signal.throwIfAborted();
    terminal.print(failed === 0 ? '\nAll is well.' : `\n${failed} of the checks failed.`);
    return failed === 0 ? 0 : 1;
  },
});

/** Less memory than this is tight for the smallest model. */
const LITTLE_MEMORY = 2e9;
const LITTLE_DISK = 1e9;

function surroundings({ env, home }: Context): Check[] {
  const quiet = env.ORT_DISABLE_TELEMETRY === '1' || process.env.ORT_DISABLE_TELEMETRY === '1';
  const disk = freeDiskBytes(home);
  const models = cachedModels(home);
  return [
    { name: 'tunesmith', status: 'ok', detail: version() },
    { name: 'node', status: 'ok', detail: `${process.versions.node} on ${process.platform} ${process.arch}` },
    {
      name: 'memory',
      status: totalmem() < LITTLE_MEMORY ? 'warning' : 'ok',
      detail: `${bytesText(freemem())} free of ${bytesText(totalmem())}, ${availableParallelism()} cores`,
    },
    { name: 'disk', status: disk < LITTLE_DISK ? 'warning' : 'ok', detail: `${bytesText(disk)} free at ${home}` },
    {
      name: 'models',
      status: 'ok',
      detail: models.length === 0 ? 'none pulled yet' : models.map((model) => model.id).join(', '),
    },
    {
      name: 'telemetry',
      status: quiet ? 'ok' : 'failed',
      detail: quiet ? "onnxruntime's is switched off" : "onnxruntime's is not switched off",
    },
  ];
}
