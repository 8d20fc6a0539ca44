import { basename, join, resolve } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, folderExists, listFolder, readJson } from '../io/index.ts';
import type { RunConfig } from './config.ts';
import type { Dataset } from './dataset.ts';

/** The folder that a new run will have. @throws RUN_EXISTS */
export function runPath(config: RunConfig, base: string, now: Date): string {
  const { out, name } = config.output;
  if (name !== undefined) {
    const path = join(out, name);
    if (!folderExists(path)) return path;
    throw new TunesmithError('RUN_EXISTS', {
      file: path,
      message: 'is there already.',
      fix: `continue it with --resume ${name}, or choose another --name`,
    });
  }
  const model = basename(config.model).replace(/\.(?:gguf|json)$/i, '') || basename(base);
  const stem = `${now.toISOString().slice(0, 10)}-${model.toLowerCase().replace(/[^a-z0-9.-]+/g, '-')}`;
  const taken = new Set(folderExists(out) ? listFolder(out) : []);
  let number = 1;
  while (taken.has(`${stem}-${number}`)) number++;
  return join(out, `${stem}-${number}`);
}

/** The files of a resumed run are those that it was started with. @throws RUN_DATA_CHANGED */
export function requireSameData(run: string, dataset: Dataset): void {
  const file = join(run, 'data.json');
  if (!fileExists(file)) return;
  const { files } = readJson(file) as { files: readonly { path: string; sha256: string }[] };
  for (const old of files) {
    const now = dataset.files.find((f) => resolve(f.path) === resolve(old.path));
    if (now?.sha256 === old.sha256) continue;
    throw new TunesmithError('RUN_DATA_CHANGED', {
      file: old.path,
      message: 'has changed since the run was started.',
      fix: 'put the old file back, or train the new one with --from RUN',
    });
  }
  const known = new Set(files.map(({ path }) => resolve(path)));
  const added = dataset.files.find(({ path }) => !known.has(resolve(path)));
  if (added === undefined) return;
  throw new TunesmithError('RUN_DATA_CHANGED', {
    file: added.path,
    message: 'was not there when the run was started.',
    fix: 'move it away, or train it with --from RUN',
  });
}
