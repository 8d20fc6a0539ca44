import { join } from 'node:path';
import type { Engine } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import {
  type Continuation,
  type GenerationSession,
  generate,
  openContinuation,
  openStoredBase,
  roundedByFast,
  type StoredBase,
} from '../generate/index.ts';
import { sha256, sha256File } from '../io/index.ts';
import { type BaseHandles, uploadBase } from '../model/base.ts';
import { baseHash, type ModelSource } from '../model/source.ts';
import { endOfTurn } from '../text/index.ts';
import { type OpenedText, openEngine, openTextOf, restOf, tokenizerOf } from './open.ts';
import { loadQuestions, promptIds } from './questions.ts';
import type { GenerateEvent, ModelIdentity, ModelRequest, ModelSession, Prompt, Sampling } from './types.ts';

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
  const baseIn = baseLoader(engine, model, opened.source);
  const keep = cacheKeeper();
  return {
    hasAdapter: adapter !== undefined,
    format,
    system: opened.system,
    contextLength: opened.source.config.maxPositions,
    roundedByFast: roundedByFast(opened.source.tensors),
    questions: (file, reading) => loadQuestions(reading === undefined ? opened : openTextOf(model, reading), file),
    identity: () => identityOf(model, opened.source),
    generate: async function* (prompts, options): AsyncGenerator<GenerateEvent> {
      const { temperature, topK, topP, minP, repetitionPenalty, seed } = options;
      const given = { topK, topP, minP, repetitionPenalty };
      const sampling = {
        temperature,
        seed,
        ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)),
      };
      // One array for a prompt that is answered several times: it is run once.
      const known = new Map<Prompt, readonly number[]>();
      const ids = prompts.map((prompt) => {
        const own = known.get(prompt) ?? promptIds(prompt, opened);
        known.set(prompt, own);
        return own;
      });
      const base = await baseIn(options.precision);
      const session = { engine, base, adapter: options.base ? undefined : adapter };
      const { maxTokens, stop: stopStrings, firstIndex = 0, signal } = options;
      const how = { tokenizer, maxTokens, sampling, stopIds, stopStrings, firstIndex, signal };
      const [only] = ids;
      const kept = options.keepCache === true && ids.length === 1 ? keep(session) : undefined;
      try {
        for await (const event of kept?.generate(only!, how) ?? generate(session, ids, how)) {
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
function baseLoader(engine: Engine, model: ModelRequest, source: ModelSource) {
  const { config, tensors } = source;
  const loaded = new Map<Sampling['precision'], BaseHandles | StoredBase>();
  return async (precision: Sampling['precision']): Promise<BaseHandles | StoredBase> => {
    const known = loaded.get(precision);
    if (known !== undefined) return known;
    const base =
      precision === 'fast'
        ? openStoredBase(engine, config, tensors)
        : uploadBase(engine, config, tensors, restOf(model, source));
    loaded.set(precision, base);
    // Loading is no part of the time that an answer takes.
    await engine.sync();
    return base;
  };
}

/** Keeps the cache of the weights that answered last; other weights make other keys and values. */
function cacheKeeper() {
  let last: { readonly session: GenerationSession; readonly continuation: Continuation } | undefined;
  return (session: GenerationSession): Continuation => {
    if (last?.session.base === session.base && last.session.adapter === session.adapter) return last.continuation;
    last?.continuation.close();
    last = { session, continuation: openContinuation(session) };
    return last.continuation;
  };
}

/** What the answers of a model depend on. */
export async function identityOf({ adapter, strength = 1 }: ModelRequest, source: ModelSource): Promise<ModelIdentity> {
  const base = await baseHash(source);
  if (adapter === undefined) return { base };
  const files = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => sha256File(join(adapter, name)));
  const parts = [...(await Promise.all(files)), ...(strength === 1 ? [] : [`strength ${strength}`])];
  return { base, adapter: sha256(parts.join('\n')) };
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
