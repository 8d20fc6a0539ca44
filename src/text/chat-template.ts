import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { TunesmithError } from '../errors/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { arrayOf, stringOf } from './json.ts';
import type { Message, Tool, ToolCall } from './messages.ts';
import { strftime } from './strftime.ts';

/** What a template may ask of the tokenizer: the texts of its special tokens. */
export interface TemplateTokens {
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
  readonly padToken?: string | undefined;
  readonly unkToken?: string | undefined;
}

/** How a template is set up, once for a run. */
export interface TemplateOptions {
  /** What the template's clock shows, read in UTC: frozen at the start of a run and stored with it. */
  readonly now: Date;
  /** Further variables, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** What is rendered beside the messages. */
export interface RenderOptions {
  readonly tools?: readonly Tool[] | undefined;
  /** Ends with what opens the assistant's answer. */
  readonly addGenerationPrompt?: boolean | undefined;
}

/** A chat template, ready to render. Equal calls give equal text: its clock stands still. */
export interface ChatTemplate {
  /** The Jinja source. */
  readonly source: string;
  /**
   * Messages as text. The template writes the BOS itself where the model wants one: encode the text as it is.
   *
   * @throws TEMPLATE_REJECTED with the template's words, TEMPLATE_INVALID, DATA_TOOL_CALL
   */
  render(messages: readonly Message[], options?: RenderOptions): string;
}

/** Thrown by `raise_exception` of a template. */
class TemplateException extends Error {}

/**
 * Compiles a chat template.
 *
 * @param source Jinja, as it stands in tokenizer_config.json, chat_template.jinja or GGUF metadata
 * @throws TEMPLATE_INVALID if it does not parse
 */
export function chatTemplate(source: string, tokens: TemplateTokens, options: TemplateOptions): ChatTemplate {
  const program = compile(source);
  const now = new Date(options.now);
  const globals = {
    ...constants(now),
    bos_token: tokens.bosToken ?? '',
    eos_token: tokens.eosToken ?? '',
    pad_token: tokens.padToken ?? '',
    unk_token: tokens.unkToken ?? '',
    ...options.variables,
  };
  const render = (messages: readonly Message[], { tools, addGenerationPrompt }: RenderOptions = {}): string => {
    const env = new Environment();
    const variables = {
      ...globals,
      messages: messages.map(templateMessage),
      add_generation_prompt: addGenerationPrompt === true,
      // transformers passes none, not an empty list: templates ask `tools is not none`.
      tools: tools === undefined || tools.length === 0 ? null : tools,
      documents: null,
    };
    for (const [name, value] of Object.entries(variables)) env.set(name, value);
    try {
      const result: { readonly value: unknown } = new Interpreter(env).run(program);
      return String(result.value);
    } catch (cause) {
      throw renderError(cause);
    }
  };
  return { source, render };
}

/**
 * The template among those of tokenizer_config.json's `chat_template`, which is a string or a list of named ones: `tool_use` for rows with tools
 * where there is one, else `default`.
 */
export function selectTemplate(value: unknown, options?: { readonly tools?: boolean }): string | undefined {
  if (typeof value === 'string') return value;
  const named = new Map(
    arrayOf(value)
      .filter(isRecord)
      .map((t) => [stringOf(t.name), stringOf(t.template)]),
  );
  return (options?.tools === true ? named.get('tool_use') : undefined) ?? named.get('default');
}

function compile(source: string): ReturnType<typeof parse> {
  try {
    return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  } catch (cause) {
    throw new TunesmithError('TEMPLATE_INVALID', {
      message: `the chat template does not parse: ${words(cause)}.`,
      cause,
    });
  }
}

const words = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');

function renderError(cause: unknown): TunesmithError {
  if (cause instanceof TemplateException) {
    return new TunesmithError('TEMPLATE_REJECTED', { message: `the chat template says: ${words(cause)}.`, cause });
  }
  return new TunesmithError('TEMPLATE_INVALID', { message: `the chat template does not run: ${words(cause)}.`, cause });
}

function constants(now: Date): Readonly<Record<string, unknown>> {
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    strftime_now: (format: string) => strftime(now, format),
    raise_exception: (message: string) => {
      throw new TemplateException(message);
    },
  };
}

/** Python's range(). */
function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
}

/** The message as templates know it: without our `weight`, and with the arguments of tool calls as objects. */
function templateMessage(message: Message): Readonly<Record<string, unknown>> {
  const { weight: _, tool_calls, ...rest } = message;
  // Templates ask whether there are tool_calls, not how many.
  return tool_calls === undefined || tool_calls.length === 0
    ? rest
    : { ...rest, tool_calls: tool_calls.map(templateCall) };
}

function templateCall(call: ToolCall): Readonly<Record<string, unknown>> {
  return { type: 'function', ...call, function: { ...call.function, arguments: callArguments(call) } };
}

/**
 * The arguments of a tool call as an object.
 *
 * @throws DATA_TOOL_CALL if they are text that is no JSON object
 */
export function callArguments(call: ToolCall): Readonly<Record<string, unknown>> {
  const { name, arguments: given } = call.function;
  if (typeof given !== 'string') return given;
  try {
    const value: unknown = JSON.parse(given);
    if (isRecord(value)) return value;
  } catch {
    // Said below.
  }
  throw new TunesmithError('DATA_TOOL_CALL', {
    message: `the arguments of the call of ${name} are not a JSON object.`,
  });
}
