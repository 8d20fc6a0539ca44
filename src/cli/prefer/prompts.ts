import { TunesmithError } from '../../errors/index.ts';
import { readText } from '../../io/index.ts';
import type { ModelSession, Prompt, RowReading } from '../domain.ts';

/**
 * Reads the prompts that are to be answered: rows as `generate --data` takes them, or a .txt file with one on each line. A conversation without a
 * system prompt gets `system`.
 *
 * @throws DATA_*, FILE_*, CLI_OPTION_CONFLICT
 */
export async function readPrompts(
  file: string,
  session: ModelSession,
  reading: RowReading,
  system: string | undefined,
): Promise<Prompt[]> {
  if (system !== undefined && session.format === 'raw') {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--system has no place in raw text.' });
  }
  const prompts = /\.txt$/i.test(file) ? textPrompts(file, session.format) : await rowPrompts(file, session, reading);
  const first = system ?? session.system;
  return prompts.map((prompt) => withSystem(prompt, first));
}

async function rowPrompts(file: string, session: ModelSession, reading: RowReading): Promise<Prompt[]> {
  const { questions } = await session.questions(file, reading);
  return questions.map(({ prompt }) => prompt);
}

function textPrompts(file: string, format: ModelSession['format']): Prompt[] {
  const lines = readText(file)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) throw new TunesmithError('DATA_EMPTY_FILE', { message: 'holds no prompts.', file });
  return lines.map((text) =>
    format === 'raw' ? { kind: 'text', text } : { kind: 'messages', messages: [{ role: 'user', content: text }] },
  );
}

/** What is judged is what training will see: with the system prompt that the answers were given under. */
function withSystem(prompt: Prompt, system: string | undefined): Prompt {
  if (prompt.kind === 'text' || system === undefined || prompt.messages[0]?.role === 'system') return prompt;
  return { ...prompt, messages: [{ role: 'system', content: system }, ...prompt.messages] };
}
