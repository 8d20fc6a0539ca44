import { TunesmithError } from '../../errors/index.ts';
import { defineCommand } from '../command.ts';
import { evaluationOptions, evaluationRequest, runEvaluation } from '../evaluation.ts';
import { checkGate, type GateLimits, readLimit } from '../gate.ts';

/** Exit code of a run that may not ship. */
const REFUSED = 3;

/** `tunesmith gate`. */
export const gate = defineCommand({
  name: 'gate',
  summary: 'Says whether a run may ship: exits 0 if it learned enough and forgot little enough, and 3 if not.',
  positionals: ['RUN'],
  options: {
    ...evaluationOptions,
    'min-gain': {
      type: 'string',
      value: 'LIMIT',
      description: 'how much better it must be: 5% lower perplexity on held-out rows, or 3points on each --task',
    },
    'max-forget': {
      type: 'string',
      value: 'LIMIT',
      description: 'how much worse it may be: 3% higher perplexity on general text, or 2points on all skills',
    },
  },
  examples: ['gate @last --min-gain 5% --max-forget 3%', 'gate my-run --max-forget 2points --json'],
  notes: `The 95 % intervals decide, not the estimates: a gain must be shown and forgetting must be ruled out, so what cannot be told does not pass.
--json prints the lines of eval, then {"type":"gate","passed":true|false,"checks":[...]}.`,
  async run({ options, positionals: [name = ''] }, context) {
    const limit = (flag: 'min-gain' | 'max-forget') => {
      const value = options[flag];
      return value === undefined ? undefined : readLimit(flag, value);
    };
    const limits: GateLimits = { minGain: limit('min-gain'), maxForget: limit('max-forget') };
    if (limits.minGain === undefined && limits.maxForget === undefined) {
      const fix = '--min-gain 5% and/or --max-forget 3%';
      throw new TunesmithError('CLI_ARGUMENT', { message: 'no limit is given.', fix });
    }
    const request = await evaluationRequest(name, options, context);
    if (request.against === undefined && request.model.adapter === undefined) {
      const message = `${name} is not compared with anything.`;
      throw new TunesmithError('CLI_ARGUMENT', { message, fix: '--against MODEL' });
    }
    const events = await runEvaluation(request, context);
    context.signal.throwIfAborted();
    const comparisons = events.flatMap((event) => (event.type === 'comparison' ? [event] : []));
    const checks = checkGate(comparisons, limits);
    const passed = checks.every((check) => check.passed);
    const { terminal } = context;
    for (const check of checks)
      terminal.print(`${check.passed ? 'passed' : 'refused'}  --${check.demand}  ${check.text}`);
    terminal.print(passed ? 'This run may ship.' : 'This run may not ship.');
    terminal.emit({ type: 'gate', passed, checks });
    return passed ? 0 : REFUSED;
  },
});
