import type { Render, Row } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import {
  type ChatTemplate,
  renderExamples,
  renderPromptCompletion,
  renderText,
  type TextTools,
  type Tokenizer,
} from '../text/index.ts';

/** How rows become ids: frozen in a run and used again by everything that follows it. */
export interface TextSetup {
  /** Undefined for a model folder without a tokenizer: then only pre-tokenised rows do. */
  readonly tokenizer: Tokenizer | undefined;
  readonly template: ChatTemplate | undefined;
  readonly format: 'chat' | 'raw';
  readonly trainOn: 'all' | 'last';
  readonly allow: readonly string[];
}

/** Chat where the model has a template, raw text where it has none, unless the user chose. @throws TEMPLATE_MISSING */
export function chooseFormat(asked: 'auto' | 'chat' | 'raw', tools: Partial<TextTools>): 'chat' | 'raw' {
  if (asked !== 'auto') {
    if (asked === 'chat' && tools.tokenizer !== undefined && tools.template === undefined) throw noTemplate();
    return asked;
  }
  return tools.template === undefined ? 'raw' : 'chat';
}

function noTemplate(): TunesmithError {
  return new TunesmithError('TEMPLATE_MISSING', {
    message: 'the model has no chat template, so messages have no form that it knows.',
    fix: 'use an instruction-tuned model, or prompt and completion rows with --format raw',
  });
}

/** The one way from a row to what the model sees, for training and for scoring. */
export function rowRenderer(setup: TextSetup, purpose: 'train' | 'score'): Render {
  const { trainOn, allow } = setup;
  const training = purpose === 'train';
  return (row: Row) => {
    if (row.kind === 'ids') return [{ ids: Int32Array.from(row.ids), labels: Int32Array.from(row.labels) }];
    const tokenizer = requireTokenizer(setup);
    if (row.kind === 'text') return [renderText(row.text, { tokenizer, training })];
    if (row.kind === 'prompt') return [renderPromptCompletion(row.prompt, row.completion, { tokenizer, training })];
    const template = requireTemplate(setup);
    const allowSpecialTokens = allow.includes('DATA_SPECIAL_TOKEN');
    return renderExamples(row.messages, row.tools, { tokenizer, template, trainOn, allowSpecialTokens }).examples;
  };
}

/** @throws TEMPLATE_MISSING */
export function requireTemplate({ template }: TextSetup): ChatTemplate {
  if (template === undefined) throw noTemplate();
  return template;
}

/** @throws TOKENIZER_MISSING */
export function requireTokenizer({ tokenizer }: TextSetup): Tokenizer {
  if (tokenizer !== undefined) return tokenizer;
  throw new TunesmithError('TOKENIZER_MISSING', {
    message: 'the model folder has no tokenizer.json, so only pre-tokenised rows can be used.',
    fix: 'put tokenizer.json and tokenizer_config.json of the model beside its weights',
  });
}
