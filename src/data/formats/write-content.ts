import type { Message, Tool } from '../../text/messages.ts';
import type { RowLabels } from '../row.ts';
import type { Fields } from '../shapes.ts';
import type { Content, Conversation, Format } from './content.ts';

/** A row in another format, or why that format has no words for it. */
export type Written =
  | {
      readonly records: readonly Fields[] /** What was left out that trains nothing. */;
      readonly lost: readonly string[];
    }
  | { readonly records?: undefined; readonly refused: string };

/** Writes content in a format. Whatever is trained stays so, or the row is refused. A pair of answers becomes two rows of feedback. */
export function writeContent(content: Content, format: Format): Written {
  switch (format) {
    case 'openai':
      return content.kind === 'chat' ? one(openAi(content, content.labels)) : no(content, format);
    case 'openai-preference':
    case 'preference':
      return content.kind === 'preference' ? one(preference(content, format)) : no(content, format);
    case 'unpaired':
      return unpaired(content);
    case 'prompt-completion':
      return content.kind === 'chat' ? pair(content) : no(content, format);
    case 'alpaca':
      return content.kind === 'chat' ? alpaca(content) : no(content, format);
    case 'sharegpt':
      return content.kind === 'chat' ? shareGpt(content, true) : no(content, format);
    case 'llamafactory':
      return llamaFactory(content);
    case 'text':
      return content.kind === 'text' ? one({ text: content.text }, lostLabels(content.labels)) : no(content, format);
    case 'labelled':
      return labelled(content);
    case 'tokens':
      return content.kind === 'tokens' ? one({ input_ids: content.ids, labels: content.labels }) : no(content, format);
    default:
      return format satisfies never;
  }
}

const KINDS: Readonly<Record<Content['kind'], string>> = {
  chat: 'a conversation',
  text: 'a text without turns',
  tokens: 'a list of token ids',
  preference: 'a pair of answers',
  unpaired: 'an answer with a mark',
};

function no(content: Content, format: Format): Written {
  return { refused: `is ${KINDS[content.kind]}, for which ${format} has no form.` };
}

function one(record: Fields, lost: readonly string[] = []): Written {
  return { records: [record], lost };
}

const lostLabels = (labels: RowLabels | undefined) => (labels === undefined ? [] : ['labels']);
const toolsOf = (tools: readonly Tool[] | undefined) => (tools === undefined ? {} : { tools });

function labelColumns(labels: RowLabels | undefined): Fields {
  if (labels === undefined) return {};
  return labels.kind === 'single' ? { label: labels.names[0] } : { labels: labels.names };
}

function openAi({ messages, tools }: Conversation, labels?: RowLabels): Fields {
  return { messages: messages.map(openAiMessage), ...toolsOf(tools), ...labelColumns(labels) };
}

/** Arguments of calls are JSON text there, and calls have ids. */
function openAiMessage(message: Message): Fields {
  const { tool_calls: calls, content, ...rest } = message;
  if (calls === undefined) return { ...rest, content };
  const written = calls.map(({ id, function: { name, arguments: args } }) => ({
    ...(id === undefined ? {} : { id }),
    type: 'function',
    function: { name, arguments: typeof args === 'string' ? args : JSON.stringify(args) },
  }));
  return { ...rest, content: content === '' ? null : content, tool_calls: written };
}

function preference({ prompt, chosen, rejected, tools }: Content & { kind: 'preference' }, format: Format): Fields {
  const [a, b] = [chosen.map(openAiMessage), rejected.map(openAiMessage)];
  const messages = prompt.map(openAiMessage);
  return format === 'preference'
    ? { prompt: messages, chosen: a, rejected: b, ...toolsOf(tools) }
    : { input: { messages, ...toolsOf(tools) }, preferred_output: a, non_preferred_output: b };
}

function unpaired(content: Content): Written {
  if (content.kind === 'unpaired') return one(feedback(content, content.completion, content.good));
  if (content.kind !== 'preference') return no(content, 'unpaired');
  return { records: [feedback(content, content.chosen, true), feedback(content, content.rejected, false)], lost: [] };
}

function feedback(
  { prompt, tools }: { readonly prompt: readonly Message[]; readonly tools?: readonly Tool[] },
  completion: readonly Message[],
  label: boolean,
): Fields {
  return { prompt: prompt.map(openAiMessage), completion: completion.map(openAiMessage), label, ...toolsOf(tools) };
}

/** A single turn is two texts; otherwise the last answer is the completion, and nothing before it may be trained. */
function pair({ messages, tools, labels }: Content & { kind: 'chat' }): Written {
  const [system, turns] = withoutSystem(messages);
  const [user, assistant] = turns;
  if (turns.length === 2 && user !== undefined && assistant !== undefined && isPlain(user) && isPlain(assistant)) {
    const columns = system === undefined ? {} : { system };
    const record = { prompt: user.content, completion: assistant.content, ...columns, ...toolsOf(tools) };
    return one(record, lostLabels(labels));
  }
  const last = messages.at(-1);
  if (last?.role !== 'assistant') return { refused: 'does not end with an answer.' };
  const before = messages.slice(0, -1);
  if (last.weight === 0 || before.some((m) => m.role === 'assistant' && m.weight !== 0)) {
    return { refused: 'trains answers before the last, for which prompt-completion has no form.' };
  }
  const prompt = before.map(({ weight: _, ...message }) => openAiMessage(message));
  return one({ prompt, completion: [openAiMessage(last)], ...toolsOf(tools) }, lostLabels(labels));
}

function withoutSystem(messages: readonly Message[]): [string | undefined, readonly Message[]] {
  const [first, ...rest] = messages;
  // An empty system prompt in a column counts as none.
  return first?.role === 'system' && first.content !== '' ? [first.content, rest] : [undefined, messages];
}

/** Whether a message is its role and its text. */
function isPlain({ role, tool_calls, reasoning_content, weight, name }: Message): boolean {
  return (
    (role === 'user' || role === 'assistant') &&
    tool_calls === undefined &&
    reasoning_content === undefined &&
    name === undefined &&
    weight !== 0
  );
}

function alpaca({ messages, tools, labels }: Content & { kind: 'chat' }): Written {
  const [system, turns] = withoutSystem(messages);
  const isAlternating = turns.every((m, i) => isPlain(m) && m.role === (i % 2 === 0 ? 'user' : 'assistant'));
  if (!isAlternating || turns.length % 2 === 1 || tools !== undefined) {
    return { refused: 'has more than questions and answers by turns, for which alpaca has no form.' };
  }
  const texts = turns.map((m) => m.content);
  const pairs = Array.from({ length: turns.length / 2 - 1 }, (_, i) => [texts[2 * i], texts[2 * i + 1]]);
  const record = {
    instruction: texts.at(-2),
    input: '',
    output: texts.at(-1),
    ...(system === undefined ? {} : { system }),
    ...(pairs.length === 0 ? {} : { history: pairs }),
  };
  return one(record, lostLabels(labels));
}

const SHAREGPT: Readonly<Record<Message['role'], string>> = {
  system: 'system',
  user: 'human',
  assistant: 'gpt',
  tool: 'observation',
};

/** @param marks whether `"train": false` may take an answer out of the loss, as axolotl understands it */
function shareGpt({ messages, tools, labels }: Content & { kind: 'chat' }, marks: boolean): Written {
  const lost = new Set(lostLabels(labels));
  const conversations: Fields[] = [];
  for (const message of messages) {
    const written = shareGptMessage(message, marks, lost);
    if (typeof written === 'string') return { refused: written };
    conversations.push(written);
  }
  return one({ conversations, ...(tools === undefined ? {} : { tools: JSON.stringify(tools) }) }, [...lost]);
}

function shareGptMessage(message: Message, marks: boolean, lost: Set<string>): Fields | string {
  const { role, content, tool_calls: calls, reasoning_content, weight } = message;
  if (reasoning_content !== undefined) return 'has reasoning, for which this format has no form.';
  if (weight === 0 && !marks) return 'has an answer of weight 0, for which this format has no form.';
  if (message.tool_call_id !== undefined || calls?.some(({ id }) => id !== undefined) === true) {
    lost.add('ids of tool calls');
  }
  if (message.name !== undefined) lost.add('names of messages');
  const train = weight === 0 ? { train: false } : {};
  if (calls === undefined) return { from: SHAREGPT[role], value: content, ...train };
  if (content !== '') return 'has text beside a tool call, for which this format has no form.';
  const written = calls.map(({ function: { name, arguments: args } }) => ({ name, arguments: args }));
  return { from: 'function_call', value: JSON.stringify(written.length === 1 ? written[0] : written), ...train };
}

/** ShareGPT rows with the columns that LLaMA-Factory has beside them. */
function llamaFactory(content: Content): Written {
  switch (content.kind) {
    case 'chat':
      return shareGpt(content, false);
    case 'text':
      return one({ text: content.text }, lostLabels(content.labels));
    case 'tokens':
      return no(content, 'llamafactory');
    case 'unpaired': {
      const { prompt, completion, good, tools } = content;
      const messages = [...prompt, ...completion];
      return beside(shareGpt({ kind: 'chat', messages, ...toolsOf(tools) }, false), () => ({ kto_tag: good }));
    }
    case 'preference': {
      const { prompt, chosen, rejected, tools } = content;
      if (chosen.length > 1 || rejected.length > 1) return { refused: 'has answers of several messages.' };
      const lost = new Set<string>();
      const answers = [...chosen, ...rejected].map((message) => shareGptMessage(message, false, lost));
      const refused = answers.find((answer) => typeof answer === 'string');
      if (refused !== undefined) return { refused };
      const [a, b] = answers;
      return beside(shareGpt({ kind: 'chat', messages: prompt, ...toolsOf(tools) }, false), () => ({
        chosen: a,
        rejected: b,
      }));
    }
    default:
      return content satisfies never;
  }
}

function beside(written: Written, columns: () => Fields): Written {
  if (written.records === undefined) return written;
  return { ...written, records: written.records.map((record) => ({ ...record, ...columns() })) };
}

function labelled(content: Content): Written {
  if ((content.kind !== 'text' && content.kind !== 'chat') || content.labels === undefined) {
    return { refused: 'has no label.' };
  }
  const { labels } = content;
  return one(content.kind === 'text' ? { text: content.text, ...labelColumns(labels) } : openAi(content, labels));
}

/** LLaMA-Factory's description of a file of rows as {@link writeContent} writes them. */
export function datasetInfo(name: string, file: string, kind: Content['kind']): Fields {
  const columns =
    kind === 'text'
      ? { prompt: 'text' }
      : {
          messages: 'conversations',
          tools: 'tools',
          ...(kind === 'preference' ? { chosen: 'chosen', rejected: 'rejected' } : {}),
          ...(kind === 'unpaired' ? { kto_tag: 'kto_tag' } : {}),
        };
  return {
    [name]: {
      file_name: file,
      formatting: kind === 'text' ? 'alpaca' : 'sharegpt',
      ...(kind === 'preference' ? { ranking: true } : {}),
      columns,
    },
  };
}
