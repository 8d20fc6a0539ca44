import { existsSync } from 'node:fs';
import { defineConfig } from 'tsdown';

// Child processes and threads start from files of their own, which nothing imports.
const hosts = ['src/engine/ort/host-main.ts', 'src/engine/ort/file-main.ts', 'src/io/pool-main.ts'];

export default defineConfig({
  entry: ['src/index.ts', 'src/cli/main.ts', ...hosts].filter((file) => existsSync(file)),
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
