// Runs before `npm pack` and `npm publish`: builds, and makes the bundled onnxruntime-node installable behind a firewall.
//
// On Linux x64 its postinstall downloads CUDA libraries that we never load, and fails the whole installation where it cannot.
// The package is bundled (bundleDependencies) without its scripts; its CPU and WebGPU binaries are in the npm package already.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function withoutScripts(file: string): void {
  const { scripts: _, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, `${JSON.stringify(rest, null, 2)}\n`);
}

const tsdown = fileURLToPath(new URL('../node_modules/tsdown/dist/run.mjs', import.meta.url));
const build = spawnSync(process.execPath, [tsdown], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
if (build.status !== 0) process.exit(1);
withoutScripts(fileURLToPath(new URL('../node_modules/onnxruntime-node/package.json', import.meta.url)));
