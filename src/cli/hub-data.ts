import { parseDataId, pullDataset } from '../io/hub-data.ts';
import { fileExists, folderExists } from '../io/index.ts';
import type { Context } from './command.ts';
import { bytesText } from './format.ts';
import { openProgress } from './progress.ts';

/** Milliseconds between lines for a machine. */
const EVERY = 1000;

/**
 * Files of each name: a data set of the hub becomes the files of its split in the cache, fetched if need be; everything else stays as it is.
 *
 * @throws DATA_HUB, MODEL_GATED, DOWNLOAD_*, DISK_FULL
 */
export async function dataSources(names: readonly string[], context: Context): Promise<string[][]> {
  const sources: string[][] = [];
  for (const name of names) sources.push(await filesOf(name, context));
  return sources;
}

/** The same as one list. */
export async function dataFiles(names: readonly string[], context: Context): Promise<string[]> {
  return (await dataSources(names, context)).flat();
}

/** Whether a name is that of a data set of the hub, and of nothing here. */
export function isDataId(name: string): boolean {
  return !fileExists(name) && !folderExists(name) && parseDataId(name) !== undefined;
}

async function filesOf(name: string, { terminal, home, hub, signal }: Context): Promise<string[]> {
  const id = fileExists(name) || folderExists(name) ? undefined : parseDataId(name);
  if (id === undefined) return [name];
  const progress = openProgress(terminal, name);
  let emitted = 0;
  try {
    return await pullDataset(name, id, {
      ...{ home, signal, endpoint: hub.endpoint, token: hub.token, offline: hub.offline },
      onEvent: (event) => {
        if (event.type === 'source')
          progress.say(`Fetching ${name}: ${bytesText(event.bytes)}, commit ${event.commit}.`);
        else progress.update(event.bytes, event.total, `${event.file} ${bytesText(event.bytes)}`);
        if (event.type === 'progress' && Date.now() - emitted < EVERY) return;
        emitted = Date.now();
        terminal.emit(event);
      },
    });
  } finally {
    progress.stop();
  }
}
