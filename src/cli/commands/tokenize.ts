import { TunesmithError } from '../../errors/index.ts';
import { defineCommand } from '../command.ts';
import type { Prompt } from '../domain.ts';
import { modelName, modelOptions, requestModel } from '../models.ts';
import { readMessagesFile, rowOptions, rowReading } from '../prompts.ts';
import { domain } from '../wiring.ts';

/** `tunesmith tokenize`. */
export const tokenize = defineCommand({
  name: 'tokenize',
  summary:
    'Prints the token ids of a text, or of messages rendered by the chat template. Adds no special tokens; parses those it is given.',
  positionals: ['[MODEL]'],
  options: {
    model: modelOptions.model,
    text: { type: 'string', value: 'TEXT', description: 'the text' },
    messages: { type: 'string', value: 'FILE', description: 'an array of messages or {messages}; .jsonl: several' },
    role: rowOptions.role,
    'add-generation-prompt': { type: 'boolean', description: "end with the opening of the assistant's turn" },
  },
  examples: [
    'tokenize smollm2-135m-instruct --text "Hello, world"',
    'tokenize --model m.gguf --messages chat.json --json',
  ],
  notes: 'Each result is one line, {"ids":[...],"text":"..."}. A text that starts with a dash is written --text=-x.',
  async run({ options, positionals }, context) {
    const { text, messages } = options;
    if ((text === undefined) === (messages === undefined)) {
      throw new TunesmithError('CLI_ARGUMENT', {
        message: 'tokenize takes --text or --messages, and just one of them.',
      });
    }
    const addGenerationPrompt = options['add-generation-prompt'] ?? false;
    const useless = addGenerationPrompt ? '--add-generation-prompt' : options.role && '--role';
    if (text !== undefined && useless) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `${useless} has no effect on --text.` });
    }
    const name = modelName(positionals[0], options.model);
    if (name === undefined)
      throw new TunesmithError('CLI_ARGUMENT', { message: 'no model is named.', fix: '--model MODEL' });
    const prompts: Prompt[] =
      text !== undefined ? [{ kind: 'text', text }] : readMessagesFile(messages ?? '', rowReading(options));
    const model = await requestModel(name, {}, context);
    for (const prompt of prompts) {
      const result = await domain.tokenize(model, prompt, { addGenerationPrompt });
      context.terminal.emit(result);
      if (!context.terminal.json) context.terminal.print(JSON.stringify(result));
    }
    return 0;
  },
});
