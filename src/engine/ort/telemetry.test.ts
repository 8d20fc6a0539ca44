import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../../test/support/run-engine.ts', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'tunesmith-home-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Runs the program in an environment that says nothing of telemetry, with every folder it may write to under `home`. */
function run(way: string): Promise<string> {
  const { ORT_DISABLE_TELEMETRY: _ours, ...inherited } = process.env;
  const folders = { HOME: home, USERPROFILE: home, LOCALAPPDATA: home, XDG_CACHE_HOME: join(home, 'cache') };
  const env = { ...inherited, ...folders, TMPDIR: home, TEMP: home, TMP: home };
  const child = spawn(process.execPath, [PROGRAM, way], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output.trim()));
  });
}

describe('telemetry of ONNX Runtime', () => {
  // When it is on, one run leaves .cache/Microsoft/DeveloperTools/.onnxruntime in the home folder and a log in the temporary one.
  it.each(['c-api', 'binding', 'process'])('is off, whatever the environment says: %s', async (way) => {
    expect(await run(way)).toBe('1,1');
    const files = readdirSync(home, { recursive: true, encoding: 'utf8' });
    expect(files.filter((file) => /microsoft|onnxruntime|mat-debug|deviceid/i.test(file))).toEqual([]);
  });
});
