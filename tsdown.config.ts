import { existsSync } from 'node:fs';
import { defineConfig } from 'tsdown';

// The engine's child process starts from a file of its own, which nothing imports.
const host = 'src/engine/ort/host-main.ts';

export default defineConfig({
  entry: ['src/index.ts', 'src/cli/main.ts', host].filter((file) => existsSync(file)),
  format: 'esm',
  platform: 'node',
  target: 'node22.12',
  dts: true,
  clean: true,
  outDir: 'dist',
  // One output file for each source file: paths taken from import.meta.url hold in dist as they do in src.
  unbundle: true,
  fixedExtension: false,
});
