// `npm test`: runs vitest under the Node that the repository brings and ends with the line `N passed, N failed`.
// Plain JavaScript for Node 20, which fresh machines may still have.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function modernNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 12)) return process.execPath;
  const own = path.join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  return existsSync(own) ? own : process.execPath;
}

function count(report) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults) {
    let failedHere = 0;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') total.passed++;
      else if (test.status === 'failed') failedHere++;
      else {
        total.skipped++;
        console.log(`skipped: ${path.relative(root, file.name)} ${test.fullName}`);
      }
    }
    // A file that fails to load has no failed test of its own.
    total.failed += file.status === 'failed' ? Math.max(1, failedHere) : failedHere;
  }
  return total;
}

const folder = mkdtempSync(path.join(tmpdir(), 'tunesmith-test-'));
const json = path.join(folder, 'report.json');
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${json}`, ...process.argv.slice(2)];
const run = spawnSync(modernNode(), [vitest, ...args], { cwd: root, stdio: 'inherit' });
let total = { passed: 0, failed: 0, skipped: 0 };
if (existsSync(json)) total = count(JSON.parse(readFileSync(json, 'utf8')));
rmSync(folder, { recursive: true, force: true });
// vitest also fails on errors outside any test (an unhandled rejection, a worker that died, no tests found).
if (run.status !== 0 && total.failed === 0) total.failed = 1;
const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`;
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(total.failed === 0 ? 0 : 1);
