import { totalmem } from 'node:os';
import { cachedModels } from '../../io/cache.ts';
import { KNOWN_MODELS, type KnownModel, pinOf } from '../../model/catalogue.ts';
import { resolveModel } from '../../registry/models.ts';
import { modelNeeds, NEEDS_TOKENS } from '../../registry/needs.ts';
import { type Context, defineCommand } from '../command.ts';
import { bytesText, countText, table } from '../format.ts';
import { placesOf } from '../models.ts';

/** Share of the memory that a model may take: the system and other programs need some too. */
const SHARE = 0.8;

/** `tunesmith models`. */
export const models = defineCommand({
  name: 'models',
  summary:
    'Lists the models that are known by name, with what they need of this machine, and those that have been pulled.',
  positionals: [],
  options: {},
  examples: ['models', 'models --json'],
  notes:
    `run: memory to answer with float32 weights and ${countText(NEEDS_TOKENS)} tokens of context. tune: memory to train LoRA at its defaults on rows of up to ` +
    `${countText(NEEDS_TOKENS)} tokens,\nat the least; \`tunesmith train --plan\` measures with your rows. Any other model of a known architecture goes by its Hugging Face id, folder or GGUF file.`,
  async run(_args, context) {
    const { terminal, home } = context;
    const memory = memoryOfMachine();
    const known = KNOWN_MODELS.map((model) => describe(model, memory, context));
    const others = cachedModels(home)
      .filter((model) => known.every(({ id }) => id !== model.id))
      .map(({ id, licence, bytes, path, source }) => ({ id, title: id, licence, bytes, path, source }));
    for (const model of [...known, ...others]) terminal.emit({ type: 'model', ...model });
    const head = ['name', 'parameters', 'download', 'licence', 'run', 'tune', 'fits', 'where'];
    const rows = known.map((m) => [
      m.id,
      millionsText(m.parameters),
      bytesText(m.bytes),
      m.gated ? `${m.licence}, gated` : m.licence,
      bytesText(m.runBytes),
      bytesText(m.tuneBytes),
      m.fits === 'no' ? 'no' : `to ${m.fits}`,
      m.path ?? '-',
    ]);
    terminal.print(table([head, ...rows]));
    if (others.length > 0) {
      const pulled = others.map((m) => [m.id, bytesText(m.bytes), m.licence ?? '?', m.path]);
      terminal.print(`\n${table([['pulled besides', 'size', 'licence', 'where'], ...pulled])}`);
    }
    terminal.print(
      `\nThis machine has ${bytesText(memory)} of memory. tunesmith models --help says what run and tune are.`,
    );
    return 0;
  },
});

/** A container may allow less than the machine has. */
function memoryOfMachine(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(totalmem(), allowed) : totalmem();
}

function describe(known: KnownModel, memory: number, context: Context) {
  const { id, title, hubId, licence, gated, parameters, bytes, sources } = known;
  const { run, tune } = modelNeeds(known);
  const found = resolveModel(hubId, placesOf(context));
  const here = found.kind === 'path' ? { path: found.path, cache: found.cache } : {};
  const fits = tune <= SHARE * memory ? 'tune' : run <= SHARE * memory ? 'run' : 'no';
  const listed = sources.map((source) => ({
    kind: source.kind,
    name: source.kind === 'hub' ? source.repo : `${source.package} ${source.version}`,
    pin: pinOf(source),
  }));
  const needs = { runBytes: Math.round(run), tuneBytes: Math.round(tune) };
  return { id, title, hubId, licence, gated, parameters, bytes, ...needs, fits, ...here, sources: listed };
}

function millionsText(count: number): string {
  return count < 1e9 ? `${Math.round(count / 1e6)} M` : `${(count / 1e9).toFixed(1)} B`;
}
