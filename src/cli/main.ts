#!/usr/bin/env node
// The first thing that runs. Nothing is imported statically, so that a Node that is too old reads this far and can say so.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const platform = `${process.platform}-${process.arch}`;
const platforms = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64'];

if (major < 22 || (major === 22 && minor < 12)) {
  console.error(`tunesmith needs Node 22.12 or newer, and this is ${process.versions.node}.`);
  process.exitCode = 1;
} else if (!platforms.includes(platform)) {
  console.error(`tunesmith runs on ${platforms.join(', ')}, and this is ${platform}.`);
  process.exitCode = 1;
} else {
  // onnxruntime's binaries phone home unless this stands before they load; child processes inherit it.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  import('./run.ts').then(({ runCli }) => runCli(process.argv.slice(2)));
}

export {};
