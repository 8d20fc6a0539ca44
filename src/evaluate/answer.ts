import type { Engine } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { generate, openStoredBase, type StoredBase } from '../generate/index.ts';
import { type BaseHandles, uploadBase } from '../model/base.ts';
import type { ModelSource } from '../model/source.ts';
import { endOfTurn, renderPrompt, renderRawPrompt } from '../text/index.ts';
import { type OpenedText, openEngine, openTextOf, tokenizerOf } from './open.ts';
import type { GenerateEvent, ModelRequest, ModelSession, Prompt, Sampling } from './types.ts';

/**
 * Opens a model to generate with.
 *
 * @throws the errors of models, tokenizers and adapters
 */
export async function openModel(model: ModelRequest): Promise<ModelSession> {
  const opened = openTextOf(model);
  const tokenizer = tokenizerOf(opened);
  const { template, format } = opened.text;
  const ends = template === undefined || format === 'raw' ? [] : [endOfTurn(template, tokenizer).id];
  const eos = tokenizer.eosId === undefined ? [] : [tokenizer.eosId];
  const stopIds = [...ends, ...opened.source.config.eosIds, ...eos];
  const { engine, adapter } = await openEngine(model, opened.source);
  const baseIn = baseLoader(engine, opened.source);
  return {
    hasAdapter: adapter !== undefined,
    format,
    system: opened.system,
    generate: async function* (prompts, options): AsyncGenerator<GenerateEvent> {
      const { temperature, topK, topP, minP, repetitionPenalty, seed } = options;
      const given = { topK, topP, minP, repetitionPenalty };
      const sampling = {
        temperature,
        seed,
        ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)),
      };
      const ids = prompts.map((prompt) => promptIds(prompt, opened));
      const base = baseIn(options.precision);
      const session = { engine, base, adapter: options.base ? undefined : adapter };
      const how = { tokenizer, maxTokens: options.maxTokens, sampling, stopIds, stopStrings: options.stop };
      const from = options.firstIndex === undefined ? {} : { firstIndex: options.firstIndex };
      try {
        for await (const event of generate(session, ids, { ...how, ...from, signal: options.signal })) {
          if (event.type === 'result') yield event;
          else if (event.text !== '') yield { type: 'token', index: event.index, text: event.text };
        }
      } catch (error) {
        // The caller looks at its signal; an answer that was broken off is no fault.
        if (!options.signal.aborted) throw error;
      }
    },
    close: () => engine.close(),
  };
}

/** Loads the base when it is first asked for in a precision. */
function baseLoader(engine: Engine, { config, tensors }: ModelSource) {
  const loaded = new Map<Sampling['precision'], BaseHandles | StoredBase>();
  return (precision: Sampling['precision']): BaseHandles | StoredBase => {
    const load = precision === 'fast' ? openStoredBase : uploadBase;
    const base = loaded.get(precision) ?? load(engine, config, tensors);
    loaded.set(precision, base);
    return base;
  };
}

function promptIds(prompt: Prompt, opened: OpenedText): number[] {
  const tokenizer = tokenizerOf(opened);
  if (prompt.kind === 'text') return renderRawPrompt(prompt.text, tokenizer);
  const { template } = opened.text;
  if (template === undefined) {
    throw new TunesmithError('TEMPLATE_MISSING', { message: 'has no chat template.', file: opened.source.path });
  }
  const { system } = opened;
  const own = prompt.messages[0]?.role === 'system' || system === undefined;
  const messages = own ? prompt.messages : [{ role: 'system', content: system } as const, ...prompt.messages];
  return renderPrompt(messages, prompt.tools, { tokenizer, template });
}

/** Renders and encodes what it is given; adds nothing. @throws TOKENIZER_MISSING, TEMPLATE_MISSING */
export async function tokenize(
  model: ModelRequest,
  input: Prompt,
  { addGenerationPrompt }: { readonly addGenerationPrompt: boolean },
): Promise<{ readonly ids: readonly number[]; readonly text: string }> {
  const opened = openTextOf(model);
  const tokenizer = tokenizerOf(opened);
  const text = input.kind === 'text' ? input.text : renderText(input, opened, addGenerationPrompt);
  return { ids: tokenizer.encode(text), text };
}

function renderText(
  input: Prompt & { kind: 'messages' },
  { source, text }: OpenedText,
  addGenerationPrompt: boolean,
): string {
  const { template } = text;
  if (template === undefined) {
    throw new TunesmithError('TEMPLATE_MISSING', { message: 'has no chat template.', file: source.path });
  }
  return template.render(input.messages, { tools: input.tools, addGenerationPrompt });
}
