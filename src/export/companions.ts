import { join } from 'node:path';
import { fileExists, readBytes, readJson, writeAtomic } from '../io/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { writeGrownText } from '../model/added-tokens.ts';
import { hfConfig } from '../model/folder.ts';
import { endOfTurn } from '../text/index.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { tokenizerJsonFromGguf } from '../text/tokenizer-gguf.ts';
import type { ExportJob } from './types.ts';

/** Files of a Hugging Face folder that go with its weights unchanged. */
const UNCHANGED = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
];

const TORCH_TYPES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** Writes what stands beside the weights in Hugging Face layout: configuration, tokenizer, chat template. */
export function writeCompanions(folder: string, job: ExportJob, type: keyof typeof TORCH_TYPES): void {
  if (job.source.text?.kind === 'gguf') writeFromGguf(folder, job);
  else writeFromFolder(folder, job);
  writeJson(join(folder, 'config.json'), configOf(job, TORCH_TYPES[type]));
  writeGrownText(folder, job.source);
  const template = exportedTemplate(job);
  if (template !== undefined && (job.system !== undefined || job.source.text?.kind === 'gguf')) {
    writeAtomic(join(folder, 'chat_template.jinja'), template);
  }
}

/** Writes tokenizer and chat template beside an adapter that brings tokens which its base does not have. */
export function writeGrownTokenizer(folder: string, job: ExportJob): void {
  const { source, tools } = job;
  if (source.added === undefined) return;
  if (source.text?.kind === 'gguf') writeFromGguf(folder, job);
  writeGrownText(folder, source);
  if (tools.template !== undefined) writeAtomic(join(folder, 'chat_template.jinja'), tools.template.source);
}

/** Indented, with a line end. */
export function writeJson(path: string, value: unknown): void {
  writeAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** What ends an answer. */
export function stopsOf({ source, tools }: ExportJob): readonly number[] {
  const { tokenizer, template } = tools;
  const turn = tokenizer === undefined || template === undefined ? [] : [endOfTurn(template, tokenizer).id];
  return [...turn, ...source.config.eosIds];
}

/** The chat template that goes with merged weights: the model's own, which inserts the trained system prompt where a conversation has none. */
export function exportedTemplate({ tools, system }: Pick<ExportJob, 'tools' | 'system'>): string | undefined {
  if (tools.template === undefined) return undefined;
  return system === undefined ? tools.template.source : withSystemPrompt(tools.template.source, system);
}

/** A Jinja template that begins a conversation without a system message with this one. */
export function withSystemPrompt(template: string, system: string): string {
  const message = `{'role': 'system', 'content': ${jinjaText(system)}}`;
  return (
    `{%- if messages | length == 0 or messages[0]['role'] != 'system' %}` +
    `{%- set messages = [${message}] + messages %}{%- endif %}${template}`
  );
}

/** A text as Jinja writes it: backslash escapes, and no braces that would end the statement. */
function jinjaText(text: string): string {
  const escaped = text.replace(/[\\'\n\r\t]/g, (c) => ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c] ?? `\\${c}`);
  return `'${escaped}'`;
}

function configOf({ source }: ExportJob, torchType: string): Record<string, unknown> {
  const file = join(source.path, 'config.json');
  const given = fileExists(file) ? readJson(file) : hfConfig(source.config);
  const config = isRecord(given) ? { ...given } : {};
  // transformers 5 says dtype; one of the two spellings is enough, and the older is read by all.
  if ('dtype' in config) config.dtype = torchType;
  else config.torch_dtype = torchType;
  return config;
}

function writeFromFolder(folder: string, { source }: ExportJob): void {
  for (const name of UNCHANGED) {
    const file = join(source.path, name);
    if (fileExists(file)) writeAtomic(join(folder, name), readBytes(file));
  }
}

function writeFromGguf(folder: string, { source, tools }: ExportJob): void {
  if (source.text?.kind !== 'gguf') return;
  const { json, config } = tokenizerJsonFromGguf(source.text.metadata);
  const { tokenizer } = tools;
  const opens = tokenizer === undefined ? undefined : bosProcessor(tokenizer);
  writeJson(join(folder, 'tokenizer.json'), { version: '1.0', ...json, ...(opens && { post_processor: opens }) });
  writeJson(join(folder, 'tokenizer_config.json'), {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...config,
    model_max_length: source.config.maxPositions,
    clean_up_tokenization_spaces: false,
  });
  if (tokenizer !== undefined) {
    const { bosId, padId } = tokenizer;
    const eos = source.config.eosIds;
    writeJson(join(folder, 'generation_config.json'), {
      ...(bosId === undefined ? {} : { bos_token_id: bosId }),
      ...(eos.length === 0 ? {} : { eos_token_id: eos.length === 1 ? eos[0] : eos }),
      ...(padId === undefined ? {} : { pad_token_id: padId }),
    });
  }
}

/** transformers puts a BOS before text only where the post-processor says so. */
function bosProcessor({ bosId, addsBos, idToToken }: Tokenizer): Record<string, unknown> | undefined {
  const bos = bosId === undefined ? undefined : idToToken(bosId);
  if (!addsBos || bos === undefined) return undefined;
  const token = { SpecialToken: { id: bos, type_id: 0 } };
  const text = (id: 'A' | 'B') => ({ Sequence: { id, type_id: id === 'A' ? 0 : 1 } });
  return {
    type: 'TemplateProcessing',
    single: [token, text('A')],
    pair: [token, text('A'), token, text('B')],
    special_tokens: { [bos]: { id: bos, ids: [bosId], tokens: [bos] } },
  };
}
