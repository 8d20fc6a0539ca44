import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, fileSize, readBytes, writeAtomic } from '../io/index.ts';
import { openPeft } from '../model/peft.ts';
import { writeStrength } from '../model/strength.ts';
import { writeGrownTokenizer } from './companions.ts';
import type { ExportJob, Writer } from './types.ts';

/** Files of an adapter folder that peft, or what was trained beside it, needs. */
const FILES = [
  'added_tokens.json',
  'adapter_config.json',
  'adapter_model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];

/** The adapter alone, as it was trained. */
export const peftWriter: Writer = {
  plan: (job) => ({ bytes: filesOf(job).reduce((sum, file) => sum + fileSize(file.path), 0), fallbacks: [] }),
  async write(job, folder, onBytes) {
    for (const { name, path } of filesOf(job)) {
      if (name === 'adapter_config.json' && job.strength !== 1) {
        writeStrength(path, join(folder, name), job.strength);
        onBytes(fileSize(path));
        continue;
      }
      const bytes = readBytes(path);
      writeAtomic(join(folder, name), bytes);
      onBytes(bytes.length);
    }
    writeGrownTokenizer(folder, job);
  },
  readBack: ({ source }, folder) => ({
    model: { kind: 'weights', source, adapter: openPeft(folder, source.config) },
    tools: undefined,
  }),
  next: ({ source: { added, config } }, folder) => {
    const resized = added === undefined ? '' : `base.resize_token_embeddings(${config.vocabSize}), then `;
    return `${resized}PeftModel.from_pretrained(base, ${JSON.stringify(folder)}) in peft loads it.`;
  },
};

/** @throws EXPORT_UNSUPPORTED */
function filesOf(job: ExportJob): { readonly name: string; readonly path: string }[] {
  const folder = requireAdapter(job, 'peft');
  return FILES.map((name) => ({ name, path: join(folder, name) })).filter(({ path }) => fileExists(path));
}

/** The folder of the adapter. @throws EXPORT_UNSUPPORTED where a model has none */
export function requireAdapter({ adapterFolder, source }: ExportJob, to: string): string {
  if (adapterFolder !== undefined) return adapterFolder;
  throw new TunesmithError('EXPORT_UNSUPPORTED', {
    file: source.path,
    message: `has no adapter, which is what ${to} holds.`,
    fix: 'name a run that trained an adapter, or export it with --to safetensors or --to gguf',
  });
}
