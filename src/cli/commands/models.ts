import { cachedModels } from '../../io/cache.ts';
import { KNOWN_MODELS } from '../../model/catalogue.ts';
import { defineCommand } from '../command.ts';
import { bytesText, table } from '../format.ts';

/** `tunesmith models`. */
export const models = defineCommand({
  name: 'models',
  summary: 'Lists the models that are known by name, and those that have been pulled.',
  positionals: [],
  options: {},
  examples: ['models'],
  async run(_args, { terminal, home }) {
    const pulled = cachedModels(home);
    const known = KNOWN_MODELS.map(({ id, title, licence, parameters, bytes }) => {
      const here = pulled.find((model) => model.id === id);
      return { id, title, licence, parameters, bytes: here?.bytes ?? bytes, path: here?.path, source: here?.source };
    });
    const others = pulled
      .filter((model) => known.every(({ id }) => id !== model.id))
      .map(({ id, licence, bytes, path, source }) => ({ id, title: id, licence, bytes, path, source }));
    const all = [...known, ...others];
    for (const model of all) terminal.emit({ type: 'model', ...model });
    const rows = all.map((m) => [m.id, bytesText(m.bytes), m.licence ?? '?', m.path ?? 'not pulled']);
    terminal.print(table([['name', 'size', 'licence', 'where'], ...rows]));
    return 0;
  },
});
