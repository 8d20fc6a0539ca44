import { describe, expect, it } from 'vitest';
import type { Activity } from '../train/activity.ts';
import { openActivityLine } from './progress.ts';
import { openTerminal } from './terminal.ts';

function watched(options: { readonly json?: boolean; readonly quiet?: boolean }) {
  const written = { stdout: '', stderr: '' };
  const sink = (name: keyof typeof written) => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const { json = false, quiet = false } = options;
  const terminal = openTerminal({ json, quiet, stdout: sink('stdout'), stderr: sink('stderr'), env: {} });
  return { written, line: openActivityLine(terminal) };
}

const at = (kind: Activity['kind'], done: number, total: number): Activity => ({ kind, done, total, unit: 'rows' });

describe('an activity where nobody watches', () => {
  it('is one plain line on stderr, however often it is told of', () => {
    const { written, line } = watched({});
    for (const done of [0, 1, 2, 3]) line.show(at('evaluate', done, 3));
    line.show(at('report', 0, 1200));
    line.end();
    expect(written).toEqual({
      stdout: '',
      stderr: 'evaluating: 3 rows\nreporting after training: 1,200 rows\n',
    });
  });

  it('is a line again when it comes again', () => {
    const { written, line } = watched({});
    for (const _ of [1, 2]) for (const done of [0, 2]) line.show(at('evaluate', done, 2));
    expect(written.stderr.split('\n')).toHaveLength(3);
  });

  it.each([{ json: true }, { quiet: true }])('is silent under %j', (options) => {
    const { written, line } = watched(options);
    line.show(at('baseline', 0, 3));
    line.end();
    expect(written).toEqual({ stdout: '', stderr: '' });
  });
});

describe('a terminal', () => {
  it.each([
    [0, 80],
    [undefined, 80],
    [132, 132],
  ])('of %s columns has %s', (columns, expected) => {
    const sink = { write: () => {}, columns };
    expect(openTerminal({ json: false, quiet: false, stdout: sink, stderr: sink, env: {} }).columns).toBe(expected);
  });
});
