import { existsSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJiti } from 'jiti';

/**
 * Loads a module of the user's, .ts or .js, and gives its default export. It may import from 'tunesmith' also where that is not installed: in this
 * repository, or under npx.
 *
 * @throws whatever loading it throws
 */
export async function importDefault(file: string): Promise<unknown> {
  const index = fileURLToPath(new URL(`../index${extname(import.meta.url)}`, import.meta.url));
  const alias = existsSync(index) ? { tunesmith: index } : {};
  const jiti = createJiti(import.meta.url, { alias, fsCache: false, moduleCache: false });
  return await jiti.import(resolve(file), { default: true });
}
