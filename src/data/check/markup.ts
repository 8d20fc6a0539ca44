/** Tokens of widely used chat templates. As text in a row they become the real token, or teach the model to write them. */
const TEMPLATE =
  /<\|(?:im_start|im_end|im_sep|endoftext|endofprompt|eot_id|eom_id|end_of_text|begin_of_text|start_header_id|end_header_id|python_tag|user|assistant|system|end|tool|observation|startoftext|channel|message|return|start|call|START_OF_TURN_TOKEN|END_OF_TURN_TOKEN|USER_TOKEN|CHATBOT_TOKEN|SYSTEM_TOKEN|fim_(?:prefix|middle|suffix))\|>|<｜[^<>｜]{1,40}｜>|\[\/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]|<<\/?SYS>>|<\/?(?:start_of_turn|end_of_turn)>|<(?:bos|eos|pad)>|<\/s>(?=\s*$|\s*<s>|\s*\[INST\])|^\s*<s>(?=\s|\[INST\])|\[(?:CLS|SEP)\]|<extra_id_\d+>/;

/** Where a token of a chat template stands in a text, or -1, and which. */
export function templateToken(text: string): { readonly at: number; readonly token: string } | undefined {
  if (!/[<[]/.test(text)) return undefined;
  const match = TEMPLATE.exec(text);
  return match === null ? undefined : { at: match.index, token: match[0].trim() };
}

/** Texts that begin a sequence in the templates of today. */
const BEGINNINGS = ['<s>', '<|begin_of_text|>', '<bos>', '<|startoftext|>', '<｜begin▁of▁sentence｜>', '[CLS]'];

/** The beginning-of-sequence token that a text starts with, which the renderer would write a second time. */
export function beginningToken(text: string): string | undefined {
  const start = text.trimStart();
  return BEGINNINGS.find((token) => start.startsWith(token));
}

const TURNS =
  /(?:^|\n)\s*(?:#{2,4} ?(?:Instruction|Response|Input|Human|Assistant|User|System) ?:|(?:Human|User|Assistant|AI|Bot|USER|ASSISTANT) ?: )/g;

/** Turns of a conversation written into one text: at least two role names at the starts of lines. */
export function writtenTurns(text: string): number {
  if (!text.includes(':')) return -1;
  const found = [...text.matchAll(TURNS)];
  return found.length >= 2 ? found[0]!.index : -1;
}

const ENTITY = /&(?:amp|lt|gt|quot|nbsp|apos|hellip|mdash|ndash|rsquo|lsquo|rdquo|ldquo|#\d{2,5}|#x[0-9a-f]{2,5});/i;
const TAG =
  /<\/?(?:p|br|div|span|strong|em|ul|ol|li|h[1-6]|table|tr|td|font|img|script|style|iframe|body|html)(?:\s[^<>]{0,200})?\/?>/i;
const ESCAPE = /\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|(?<![\\\w:])\\[nrt](?![a-z])/i;

/** Markup and escapes that a scraper or a double encoding left, or undefined. Code is let pass. */
export function residue(text: string): { readonly at: number; readonly what: string } | undefined {
  if (!/[&<\\]/.test(text) || text.includes('```')) return undefined;
  const entity = ENTITY.exec(text);
  if (entity !== null) return { at: entity.index, what: `the HTML entity ${entity[0]}` };
  const tag = TAG.exec(text);
  if (tag !== null) return { at: tag.index, what: `the HTML tag ${tag[0].slice(0, 30)}` };
  const code = ESCAPE.exec(text);
  return code === null ? undefined : { at: code.index, what: `the escape ${code[0]} as text` };
}
