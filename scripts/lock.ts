// Completes package-lock.json: `npm install` leaves out binaries of other platforms that its registry (often a mirror) does not hold,
// and `npm ci` then refuses the lock. Run after a change of dependencies; test/lock.test.ts says when it is due.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Lock, missingOptional } from '../test/support/lock.ts';

const file = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(file, 'utf8')) as Lock;
for (const { name, version, sibling } of missingOptional(lock)) {
  const words = name.split(/[/-]/);
  const of = (all: readonly string[]) => all.filter((word) => words.includes(word));
  const [os, cpu, libc] = [
    of(['android', 'darwin', 'freebsd', 'linux', 'openbsd', 'win32']),
    of(['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64']),
    of(['musl']),
  ];
  // What was never fetched has no integrity, and a sibling's belongs to the sibling.
  const { integrity: _, libc: __, resolved: ___, ...rest } = sibling;
  lock.packages[`node_modules/${name}`] = { ...rest, version, os, cpu, ...(libc.length > 0 ? { libc } : {}) };
}
const { '': root, ...others } = lock.packages;
const sorted = Object.entries(others).sort(([a], [b]) => a.localeCompare(b, 'en'));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: { '': root, ...Object.fromEntries(sorted) } }, null, 2)}\n`);
