import type { Message } from '../text/messages.ts';
import type { ModelSession, Sampling } from './domain.ts';

/** Where a chat writes, and where what people say of answers goes. */
export interface ChatIo {
  /** A piece of an answer as it comes. */
  stream(text: string): void;
  print(text: string): void;
  /** Appends one row of feedback and returns the file's name. */
  feedback(row: object): string;
}

/** A chat between a person and a model. */
export interface Conversation {
  /** Takes one line; false ends the chat. */
  take(line: string, signal: AbortSignal): Promise<boolean>;
}

const HELP = `/base         switch between the tuned model and its base
/system TEXT  set the system prompt and start anew (without TEXT: show it)
/reset        start anew
/good, /bad   keep the last answer as liked or disliked
/fix TEXT     keep TEXT as the better answer
/exit         leave`;

/** Opens a chat. */
export function openConversation(
  session: ModelSession,
  io: ChatIo,
  options: { readonly sampling: Sampling; readonly system?: string | undefined; readonly base?: boolean },
): Conversation {
  let system = options.system;
  let base = options.base ?? false;
  let turns: Message[] = [];
  const before = (): Message[] => (system === undefined ? [] : [{ role: 'system', content: system }]);

  /** The last answer and what it answers. */
  const lastTurn = (): { prompt: Message[]; answer: Message } | undefined => {
    const answer = turns.at(-1);
    return answer?.role === 'assistant' ? { prompt: [...before(), ...turns.slice(0, -1)], answer } : undefined;
  };

  const commands: Record<string, (rest: string) => void> = {
    base: () => {
      if (!session.hasAdapter) return io.print('This model has no adapter, so it is its own base.');
      base = !base;
      return io.print(base ? 'Now the base model answers.' : 'Now the tuned model answers.');
    },
    system: (rest) => {
      if (rest === '') return io.print(system ?? 'There is no system prompt.');
      system = rest;
      turns = [];
      return io.print('Set; the conversation starts anew.');
    },
    reset: () => {
      turns = [];
      io.print('The conversation starts anew.');
    },
    good: () => judge(true),
    bad: () => judge(false),
    fix: (rest) => {
      const last = lastTurn();
      if (last === undefined) return io.print('There is no answer yet.');
      if (rest === '') return io.print('Write the better answer behind /fix.');
      const better: Message = { role: 'assistant', content: rest };
      const file = io.feedback({ prompt: last.prompt, chosen: [better], rejected: [last.answer] });
      turns = [...turns.slice(0, -1), better];
      return io.print(`Kept in ${file}; the conversation goes on with it.`);
    },
    help: () => io.print(HELP),
  };

  function judge(label: boolean): void {
    const last = lastTurn();
    const kept = last && io.feedback({ prompt: last.prompt, completion: [last.answer], label });
    io.print(kept === undefined ? 'There is no answer yet.' : `Kept in ${kept}.`);
  }

  async function answer(question: string, signal: AbortSignal): Promise<void> {
    const asked: Message[] = [...turns, { role: 'user', content: question }];
    const prompt = { kind: 'messages', messages: [...before(), ...asked] } as const;
    let text = '';
    for await (const event of session.generate([prompt], { ...options.sampling, base, signal })) {
      if (event.type === 'token') io.stream(event.text);
      else text = event.text;
    }
    io.print('');
    // An answer that was broken off is no part of the conversation.
    if (!signal.aborted) turns = [...asked, { role: 'assistant', content: text }];
  }

  return {
    async take(line, signal) {
      const [, name, rest = ''] = /^\/(\w+)\s*(.*)$/s.exec(line.trim()) ?? [];
      if (name === 'exit' || name === 'quit') return false;
      if (name === undefined) {
        if (line.trim() !== '') await answer(line, signal);
      } else (commands[name] ?? (() => io.print(`There is no /${name}.\n${HELP}`)))(rest.trim());
      return true;
    },
  };
}
