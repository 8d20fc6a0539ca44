import { isRecord } from '../io/json-checks.ts';
import {
  type ChatTemplate,
  chatTemplate,
  selectTemplate,
  type TemplateOptions,
  type TemplateTokens,
} from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';
import { chatTemplateFromGguf, tokenizerFromGguf } from './tokenizer-gguf.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';

/** Raw material of a tokenizer and a chat template: the parsed files of a Hugging Face folder, or the metadata of a GGUF file. */
export type TextFiles =
  | {
      readonly kind: 'hf';
      readonly tokenizerJson: unknown;
      readonly tokenizerConfig: unknown;
      /** chat_template.jinja, which goes before the template in tokenizer_config.json. */
      readonly chatTemplate: string | undefined;
    }
  | { readonly kind: 'gguf'; readonly metadata: Readonly<Record<string, unknown>> };

/** What turns a model's text into ids and back. */
export interface TextTools {
  readonly tokenizer: Tokenizer;
  /** Undefined for a model without one. */
  readonly template: ChatTemplate | undefined;
}

/**
 * Builds the tokenizer and the chat template of a model.
 *
 * @throws TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED, TOKENIZER_PRE_UNKNOWN, TEMPLATE_INVALID
 */
export function openText(files: TextFiles, options: TemplateOptions & { readonly tools?: boolean }): TextTools {
  const isGguf = files.kind === 'gguf';
  const tokenizer = isGguf
    ? tokenizerFromGguf(files.metadata)
    : tokenizerFromJson(files.tokenizerJson, files.tokenizerConfig);
  const source = isGguf ? chatTemplateFromGguf(files.metadata) : templateOfFolder(files, options.tools === true);
  const template = source === undefined ? undefined : chatTemplate(source, templateTokens(tokenizer), options);
  return { tokenizer, template };
}

function templateOfFolder(files: TextFiles & { kind: 'hf' }, tools: boolean): string | undefined {
  if (files.chatTemplate !== undefined) return files.chatTemplate;
  return isRecord(files.tokenizerConfig) ? selectTemplate(files.tokenizerConfig.chat_template, { tools }) : undefined;
}

/** The texts of a tokenizer's special tokens, for a template. */
export function templateTokens(tokenizer: Tokenizer): TemplateTokens {
  const text = (id: number | undefined) => (id === undefined ? undefined : tokenizer.idToToken(id));
  return { bosToken: text(tokenizer.bosId), eosToken: text(tokenizer.eosId), padToken: text(tokenizer.padId) };
}
