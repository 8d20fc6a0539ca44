import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-process-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const call = (...argv: string[]) =>
  spawnSync(process.execPath, ['--import', TSX, MAIN, ...argv], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, TUNESMITH_HOME: folder },
  });

describe('the program as a process', () => {
  it('imports nothing before it has looked at the version of Node', () => {
    expect(readFileSync(MAIN, 'utf8')).not.toMatch(/^import .*from/m);
  });

  it('exits with the code of what happened, without a stack trace for wrong usage', () => {
    expect(call('models')).toMatchObject({ status: 0, stderr: '' });
    const wrong = call('train', '--rnak', '3');
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    expect(wrong.stderr).toBe('CLI_OPTION_UNKNOWN tunesmith train has no option --rnak. Fix: did you mean --rank?\n');
  });

  it.each([
    [['train'], /CLI_ARGUMENT no model is named.*\n.*CLI_ARGUMENT no training rows/],
    [['train', '--resume', 'x', '--lr', '1'], /CLI_OPTION_CONFLICT --resume .*--lr/],
    [['train', '--from', 'x', '--init-adapter', 'y'], /CLI_OPTION_CONFLICT --from .*--init-adapter/],
    [['train', '--resume', '@last'], /RUN_NOT_FOUND there is no run yet/],
    [['train', 'gone.ts', '--model', 'm'], /FILE_NOT_FOUND gone\.ts/],
    [['generate', 'm', '--prompt', 'x', '--data', 'y'], /CLI_ARGUMENT .*just one/],
    [['generate', 'm', '--prompt', 'x', '--top-k', '3'], /CLI_OPTION_CONFLICT --top-k has no effect/],
    [['generate', 'm', '--prompt', 'x', '--temperature=-1'], /CLI_OPTION_VALUE --temperature -1/],
    [['tokenize', 'm', '--text', 'x', '--model', 'n'], /CLI_OPTION_CONFLICT the model is named twice/],
    [['score', 'gone.gguf', '--data', 'x'], /FILE_NOT_FOUND gone\.gguf/],
    [['init', 'gone.jsonl'], /FILE_NOT_FOUND gone\.jsonl/],
  ])('ends %j with 2', (argv, message) => {
    const { status, stderr } = call(...argv);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('    at ');
    expect(status).toBe(2);
  });

  it('is content when nobody reads its output to the end', async () => {
    const child = spawn(process.execPath, ['--import', TSX, MAIN, 'models', '--json'], { stdio: 'pipe' });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).not.toContain('    at ');
  });
});
