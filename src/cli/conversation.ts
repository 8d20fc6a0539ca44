import { formatError, nearestName, TunesmithError } from '../errors/index.ts';
import type { Message } from '../text/messages.ts';
import type { GenerateEvent, ModelSession, Sampling } from './domain.ts';

/** Where a chat writes, and where what people say of answers goes. */
export interface ChatIo {
  /** A piece of an answer as it comes. */
  stream(text: string): void;
  print(text: string): void;
  /** An answer that is whole. */
  result(event: GenerateEvent & { readonly type: 'result' }): void;
  /** Appends one row of feedback and returns the file's name. */
  feedback(row: object): string;
}

/** A chat between a person and a model. */
export interface Conversation {
  /** Takes one line; false ends the chat. */
  take(line: string, signal: AbortSignal): Promise<boolean>;
}

const HELP = `/base         switch between the tuned model and its base
/system TEXT  set the system prompt and start anew ("off": take yours out; without TEXT: show it)
/reset        start anew
/good, /bad   keep the last answer as liked or disliked
/fix TEXT     keep TEXT as the better answer
/help         this list
/exit         leave (or Ctrl-D)
Ctrl-C stops an answer. A line that begins with a space is sent as it is, whatever it begins with.`;

/** Opens a chat. */
export function openConversation(
  session: ModelSession,
  io: ChatIo,
  options: { readonly sampling: Sampling; readonly system?: string | undefined; readonly base?: boolean },
): Conversation {
  let system = options.system ?? session.system;
  let base = options.base ?? false;
  let turns: Message[] = [];
  let answers = 0;
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
      if (rest === '') return io.print(system ?? 'None is set. (A chat template may have one of its own.)');
      // The prompt that a run was trained with belongs to the model.
      system = rest === 'off' ? session.system : rest;
      turns = [];
      return io.print(
        `The system prompt is now ${system === undefined ? 'not set' : JSON.stringify(system)}; the conversation starts anew.`,
      );
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
    const how = { ...options.sampling, base, keepCache: true, firstIndex: answers, signal };
    let result: (GenerateEvent & { type: 'result' }) | undefined;
    for await (const event of session.generate([prompt], how)) {
      if (event.type === 'token') io.stream(event.text);
      else result = event;
    }
    io.print('');
    if (result === undefined) return io.print('Stopped; the question and its answer are not kept.');
    answers++;
    turns = [...asked, { role: 'assistant', content: result.text }];
    io.result(result);
  }

  async function obey(line: string, signal: AbortSignal): Promise<void> {
    const [, name, rest = ''] = /^\/(\S*)\s*(.*)$/s.exec(line) ?? [];
    if (name === undefined) return line.trim() === '' ? undefined : answer(line.trim(), signal);
    if (Object.hasOwn(commands, name)) return commands[name]!(rest.trim());
    const near = nearestName(name, Object.keys(commands));
    io.print(`There is no /${name}.${near === undefined ? '' : ` Did you mean /${near}?`} /help lists the commands.`);
  }

  return {
    async take(line, signal) {
      if (/^\/(exit|quit)\s*$/.test(line)) return false;
      try {
        await obey(line, signal);
      } catch (error) {
        // A question that does not fit, or a feedback file that cannot be written, is no reason to lose the conversation.
        if (!(error instanceof TunesmithError)) throw error;
        io.print(formatError(error.code, error.details));
        if (error.code === 'GENERATE_PROMPT') io.print('/reset starts anew.');
      }
      return true;
    },
  };
}
