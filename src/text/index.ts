export {
  type ChatTemplate,
  callArguments,
  chatTemplate,
  type RenderOptions,
  selectTemplate,
  type TemplateOptions,
  type TemplateTokens,
} from './chat-template.ts';
export { type EndOfTurn, endOfTurn } from './end-of-turn.ts';
export { type Example, IGNORE, supervisedTokens } from './example.ts';
export { type Message, ROLES, type Role, type Tool, type ToolCall } from './messages.ts';
export { openText, type TextFiles, type TextTools, templateTokens } from './open-text.ts';
export { type RawOptions, renderDocument, renderPromptCompletion, renderRawPrompt, renderText } from './raw.ts';
export {
  type ChatFormat,
  type ExampleOptions,
  type RenderedExamples,
  renderExamples,
  renderPrompt,
  type TrainOn,
} from './render.ts';
export { specialTexts } from './special-text.ts';
export { templateSystemPrompt } from './system-prompt.ts';
export type { Tokenizer } from './tokenizer.ts';
export { chatTemplateFromGguf, tokenizerFromGguf } from './tokenizer-gguf.ts';
export { tokenizerFromJson } from './tokenizer-json.ts';
export { SMALLEST_VOCAB, type TrainedTokenizer, trainTokenizer } from './train-tokenizer.ts';
