/** A call of a tool by the assistant, in OpenAI's shape; `arguments` is JSON text or the parsed object. */
export interface ToolCall {
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name: string; readonly arguments: string | Readonly<Record<string, unknown>> };
}

/** Roles that a message may have. */
export const ROLES = ['system', 'user', 'assistant', 'tool'] as const;
export type Role = (typeof ROLES)[number];

/** One message of a conversation, in OpenAI's shape. */
export interface Message {
  readonly role: Role;
  readonly content: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
  readonly name?: string;
  /** 0 takes an assistant message out of the loss, 1 (the default) keeps it. */
  readonly weight?: 0 | 1;
}

/** A tool that the assistant may call, in OpenAI's shape. */
export type Tool = Readonly<Record<string, unknown>>;
