import { assertNoErrors, createFindingLog, type Row } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { checkPrompt } from '../generate/index.ts';
import { sha256 } from '../io/index.ts';
import { renderPrompt, renderRawPrompt } from '../text/index.ts';
import { type OpenedText, rowsFor, tokenizerOf } from './open.ts';
import type { Prompt, Question, Questions } from './types.ts';

/**
 * Reads a file of rows to answer and renders each, so that all that is wrong is said before anything is computed.
 *
 * @throws DATA_*, TEMPLATE_*, TOKENIZER_MISMATCH, GENERATE_PROMPT with file and line
 */
export async function loadQuestions(opened: OpenedText, file: string): Promise<Questions> {
  const { rows, files } = await rowsFor(opened, [file], 'optional');
  const log = createFindingLog();
  const hashes: string[] = [];
  const questions = rows.map((row) => {
    const question = questionOf(row);
    try {
      const ids = promptIds(question.prompt, opened);
      checkPrompt(ids, opened.source.config);
      hashes.push(sha256(Uint8Array.from(new Uint8Array(Int32Array.from(ids).buffer))));
    } catch (error) {
      if (!(error instanceof TunesmithError)) throw error;
      const { message, fix } = error.details;
      log.add({ code: error.code, ...row.source, message, fix });
    }
    return question;
  });
  assertNoErrors(log.groups());
  return { questions, file: files[0]!.sha256, prompts: sha256(hashes.join('\n')) };
}

/** A row without its last answer, and that answer. A conversation that ends with something else is answered as it stands. */
export function questionOf(row: Row): Question {
  switch (row.kind) {
    case 'prompt': {
      const reference = row.completion === '' ? undefined : row.completion;
      return { prompt: { kind: 'text', text: row.prompt }, reference };
    }
    case 'messages': {
      const { messages, tools } = row;
      const last = messages.at(-1);
      const isAnswered = last?.role === 'assistant';
      const asked = isAnswered ? messages.slice(0, -1) : messages;
      const prompt = { kind: 'messages', messages: asked, ...(tools === undefined ? {} : { tools }) } as const;
      return { prompt, reference: isAnswered ? last.content : undefined };
    }
    case 'text':
    case 'ids':
      throw new Error(`internal: a row of kind ${row.kind} among questions`);
    default:
      return row satisfies never;
  }
}

/** The ids that the model sees before it answers. @throws TEMPLATE_*, TOKENIZER_MISSING */
export function promptIds(prompt: Prompt, opened: OpenedText): number[] {
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
