import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { baseModelPath } from '../../test/support/base-model.ts';
import { R1, TEMPLATES, type TemplateKind } from '../../test/support/templates.ts';
import { byteTokenizer, packagedTokenizer } from '../../test/support/tokenizers.ts';
import { readGguf } from '../io/gguf.ts';
import { type ChatTemplate, chatTemplate } from './chat-template.ts';
import { endOfTurn } from './end-of-turn.ts';
import { type Example, IGNORE } from './example.ts';
import type { Message, Tool } from './messages.ts';
import { openText, templateTokens } from './open-text.ts';
import { type ExampleOptions, renderExamples, renderPrompt } from './render.ts';
import type { Tokenizer } from './tokenizer.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';

const SMOLLM = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face';
const model = baseModelPath();
const NOW = new Date('2026-07-04T00:00:00Z');
const BYTES = byteTokenizer();
const compile = (source: string, tokenizer: Tokenizer = BYTES): ChatTemplate =>
  chatTemplate(source, templateTokens(tokenizer), { now: NOW });
const format = (source: string, more: Partial<ExampleOptions> = {}): ExampleOptions => ({
  tokenizer: BYTES,
  template: compile(source),
  trainOn: 'all',
  ...more,
});
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string, more: Partial<Message> = {}): Message => ({ role: 'assistant', content, ...more });
const system = (content: string): Message => ({ role: 'system', content });

/** Stretches of tokens with loss, as text. */
function trainedTexts({ ids, labels }: Example, tokenizer: Tokenizer = BYTES): string[] {
  return stretches({ ids, labels }).map(({ from, to }) => tokenizer.decode([...ids.slice(from, to)]));
}

function stretches({ labels }: Example): { readonly from: number; readonly to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const [i, label] of labels.entries()) {
    if (label === IGNORE) continue;
    if (i > 0 && labels[i - 1] !== IGNORE) found.at(-1)!.to = i + 1;
    else found.push({ from: i, to: i + 1 });
  }
  return found;
}

const THREE = [
  user('Red or blue?'),
  assistant('Blue.'),
  user('Why?'),
  assistant('It hides mud.'),
  user('Sure?'),
  assistant('Yes!'),
];
const KINDS: readonly TemplateKind[] = Object.values(TEMPLATES);

describe('rendering for training', () => {
  it.each(KINDS)('trains the three answers and what ends them: $name', (kind) => {
    const options = format(kind.source);
    const messages = kind.system ? [system('Be brief.'), ...THREE] : THREE;
    const { examples, rewritten } = renderExamples(messages, undefined, options);
    expect(rewritten).toBe(kind.rewrites);
    const end = endOfTurn(options.template, BYTES);
    const trained = examples.flatMap((e) => trainedTexts(e));
    expect(trained.map((t) => t.replace('<think>\n\n</think>\n', '').trim())).toEqual(
      ['Blue.', 'It hides mud.', 'Yes!'].map((t) => t + end.text),
    );
    for (const { ids, labels } of examples) {
      expect(labels.every((l, i) => l === IGNORE || l === ids[i])).toBe(true);
      expect(ids.at(-1)).toBe(end.id);
      expect(ids.filter((id) => id === BYTES.bosId).length).toBeLessThanOrEqual(kind.name === 'Llama 2' ? 3 : 1);
    }
  });

  it.each(KINDS)(
    'shows each answer under the ids that serving shows, and all ids together are the rendering: $name',
    (kind) => {
      const options = format(kind.source);
      // Templates trim or not: white space at the ends is met on purpose.
      const text = fc.string({ unit: fc.constantFrom(...'a the\n 1é日.') }).map((t) => `${t}x${t}`);
      fc.assert(
        fc.property(fc.array(fc.tuple(text, text, fc.constantFrom(0, 1)), { minLength: 1, maxLength: 3 }), (turns) => {
          const messages = turns.flatMap(([u, a, w]) => [user(u), assistant(a, { weight: w as 0 | 1 })]);
          const trained = [...messages.keys()].filter(
            (i) => messages[i]!.role === 'assistant' && messages[i]!.weight === 1,
          );
          fc.pre(trained.length > 0);
          const { examples } = renderExamples(messages, undefined, options);
          const starts = examples.flatMap((e) => stretches(e).map(({ from }) => [...e.ids.slice(0, from)]));
          expect(starts).toEqual(trained.map((k) => renderPrompt(messages.slice(0, k), undefined, options)));
          for (const [i, { ids }] of examples.entries()) {
            const last = examples.length === 1 ? trained.at(-1)! : trained[i]!;
            const full = options.template.render(messages.slice(0, last + 1));
            expect(full.startsWith(BYTES.decode([...ids]))).toBe(true);
          }
        }),
        { numRuns: 50 },
      );
    },
  );

  it('takes messages of weight 0 as context', () => {
    const messages = [user('Hi'), assistant('Hello.', { weight: 0 }), user('You?'), assistant('Fine.')];
    const { examples } = renderExamples(messages, undefined, format(TEMPLATES.smollm2.source));
    expect(examples.map((e) => trainedTexts(e))).toEqual([['Fine.<|im_end|>']]);
    const none = messages.map((m) => (m.role === 'assistant' ? { ...m, weight: 0 as const } : m));
    expect(() => renderExamples(none, undefined, format(TEMPLATES.smollm2.source))).toThrow(/DATA_NOTHING_SUPERVISED/);
  });

  it('trains the last answer only if asked to', () => {
    const options = format(TEMPLATES.smollm2.source, { trainOn: 'last' });
    const { examples, rewritten } = renderExamples([...THREE, user('Bye')], undefined, options);
    expect(rewritten).toBe(false);
    expect(examples.map((e) => trainedTexts(e))).toEqual([['Yes!<|im_end|>']]);
  });

  it('encodes an answer as a segment of its own, as generation does', () => {
    const options = format(TEMPLATES.smollm2.source);
    const [example] = renderExamples([user('Hi'), assistant('\n\nHello')], undefined, options).examples;
    const prompt = renderPrompt([user('Hi')], undefined, options);
    expect([...example!.ids]).toEqual([...prompt, ...BYTES.encode('\n\nHello<|im_end|>')]);
    expect([...example!.ids]).not.toEqual(BYTES.encode(BYTES.decode([...example!.ids])));
  });

  it('drops earlier reasoning from the context where the template does, and trains each', () => {
    const messages = [
      user('1?'),
      assistant('One', { reasoning_content: 'count' }),
      user('2?'),
      assistant('Two', { reasoning_content: 'add' }),
    ];
    const { examples, rewritten } = renderExamples(messages, undefined, format(TEMPLATES.smollm3.source));
    expect(rewritten).toBe(true);
    expect(examples.map((e) => trainedTexts(e))).toEqual([
      ['<think>\ncount\n</think>\nOne<|im_end|>'],
      ['<think>\nadd\n</think>\nTwo<|im_end|>'],
    ]);
    expect(BYTES.decode([...examples[1]!.ids])).not.toContain('count');
  });
});

const TOOLS: readonly Tool[] = [
  { type: 'function', function: { name: 'stock', parameters: { type: 'object', properties: {} } } },
];
const WITH_TOOLS: readonly Message[] = [
  user('Any bells?'),
  {
    role: 'assistant',
    content: '',
    tool_calls: [{ id: 'abcdefghi', function: { name: 'stock', arguments: '{"item":"bell"}' } }],
  },
  { role: 'tool', content: '{"count":3}', tool_call_id: 'abcdefghi' },
  assistant('Three.'),
  user('Thanks'),
  assistant('Welcome.'),
];

describe('a tokenizer that puts a space before text', () => {
  const golden = new URL('../../test/golden/tokenizers/small.json', import.meta.url);
  const small = JSON.parse(readFileSync(golden, 'utf8'));

  it.each(['prepend', 'first', 'always', 'never'])(
    'gives an answer the ids that it has in the whole: %s',
    (variant) => {
      const roles = { bos_token: '<s>', eos_token: '</s>' };
      const tokenizer = tokenizerFromJson({ ...small.base, ...small.variants[variant] }, roles);
      const template = compile(TEMPLATES.llama2.source, tokenizer);
      const { examples } = renderExamples([system('Be brief.'), ...THREE], undefined, {
        tokenizer,
        template,
        trainOn: 'all',
      });
      expect([...examples[0]!.ids]).toEqual(tokenizer.encode(template.render([system('Be brief.'), ...THREE])));
      expect(stretches(examples[0]!)).toHaveLength(3);
    },
  );
});

describe.skipIf(model === undefined)('the rows of the SmolLM2 goldens', () => {
  it('become the ids and labels that the reference makes', () => {
    const metadata = readGguf(model!).metadata;
    const { tokenizer, template } = openText({ kind: 'gguf', metadata }, { now: NOW });
    const golden = new URL('../../test/golden/smollm2/golden.json', import.meta.url);
    const rows: readonly { readonly messages: readonly Message[] }[] = JSON.parse(readFileSync(golden, 'utf8')).sft
      .rows;
    for (const { messages } of rows) {
      const { examples } = renderExamples(messages, undefined, { tokenizer, template: template!, trainOn: 'all' });
      expect(examples.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }))).toEqual([
        referenceRow(messages, tokenizer),
      ]);
    }
  });

  it('are prompted with the ids of the reference', () => {
    const { tokenizer, template } = openText({ kind: 'gguf', metadata: readGguf(model!).metadata }, { now: NOW });
    const golden = new URL('../../test/golden/smollm2/golden.json', import.meta.url);
    const chats = JSON.parse(readFileSync(golden, 'utf8')).chats;
    for (const { messages, add_generation_prompt, text, ids } of chats) {
      expect(template!.render(messages, { addGenerationPrompt: add_generation_prompt })).toBe(text);
      if (add_generation_prompt)
        expect(renderPrompt(messages, undefined, { tokenizer, template: template! })).toEqual(ids);
    }
  });
});

/** What make_smollm2_goldens.py does, for ChatML. */
function referenceRow(messages: readonly Message[], tokenizer: Tokenizer): { ids: number[]; labels: number[] } {
  const ids: number[] = [];
  const labels: number[] = [];
  let context = messages[0]!.role === 'system' ? '' : `<|im_start|>system\n${SMOLLM}<|im_end|>\n`;
  for (const { role, content, weight } of messages) {
    context += `<|im_start|>${role}\n`;
    if (role === 'assistant' && weight !== 0) {
      const before = tokenizer.encode(context);
      const answer = tokenizer.encode(`${content}<|im_end|>`);
      ids.push(...before, ...answer);
      labels.push(...before.map(() => IGNORE), ...answer);
      context = '\n';
    } else context += `${content}<|im_end|>\n`;
  }
  return { ids, labels };
}

describe('what a template cannot show', () => {
  it.each(KINDS.filter((k) => k.tools))('renders tools, calls and results: $name', ({ source }) => {
    const { examples } = renderExamples(WITH_TOOLS, TOOLS, format(source));
    const trained = examples.flatMap((e) => trainedTexts(e));
    expect(trained).toHaveLength(3);
    expect(trained[0]).toContain('bell');
  });

  it('ends a call with the token that the template ends calls with', () => {
    const [example] = renderExamples(WITH_TOOLS, TOOLS, format(TEMPLATES.llama31.source)).examples;
    expect(trainedTexts(example!)[0]).toMatch(/<\|eom_id\|>$/);
    expect(trainedTexts(example!)[1]).toBe('Three.<|eot_id|>');
  });

  it('is an error: tools', () => {
    const chatml = format(TEMPLATES.smollm2.source);
    expect(() => renderExamples(WITH_TOOLS, undefined, chatml)).toThrow(/TEMPLATE_NO_TOOLS .*call of stock/);
    expect(() => renderExamples([user('Is stock good?'), assistant('Yes')], TOOLS, chatml)).toThrow(
      /TEMPLATE_NO_TOOLS/,
    );
    expect(() => renderExamples(WITH_TOOLS, undefined, format(TEMPLATES.smollm3.source))).toThrow(/TEMPLATE_NO_TOOLS/);
  });

  it('is an error: reasoning', () => {
    const messages = [user('1?'), assistant('One', { reasoning_content: 'count' })];
    expect(() => renderExamples(messages, undefined, format(TEMPLATES.smollm2.source))).toThrow(
      /TEMPLATE_NO_REASONING/,
    );
  });

  it('is an error: a system message that disappears', () => {
    const silent = `{% for m in messages %}{% if m.role != 'system' %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;
    expect(() => renderExamples([system('Be brief.'), ...THREE], undefined, format(silent))).toThrow(
      /TEMPLATE_DROPS_MESSAGE/,
    );
  });

  it('is an error: the end of a turn', () => {
    const endless = `{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}`;
    expect(() => renderExamples(THREE, undefined, format(endless))).toThrow(/TEMPLATE_NO_END_OF_TURN/);
  });

  it('refuses special tokens as text unless they are allowed', () => {
    const messages = [user('Say <|im_start|>'), assistant('No')];
    expect(() => renderExamples(messages, undefined, format(TEMPLATES.smollm2.source))).toThrow(
      /DATA_SPECIAL_TOKEN .*message 1 .*<\|im_start\|>/,
    );
    const allowed = format(TEMPLATES.smollm2.source, { allowSpecialTokens: true });
    expect(renderExamples(messages, undefined, allowed).examples).toHaveLength(1);
  });

  it('trains under a prompt that opens the reasoning if the answer goes on from there', () => {
    const [example] = renderExamples(
      [user('1?'), assistant('<think>\ncount\n</think>\nOne')],
      undefined,
      format(R1),
    ).examples;
    expect(trainedTexts(example!)).toEqual(['count\n</think>\nOne</s>']);
    expect(() => renderExamples([user('1?'), assistant('One')], undefined, format(R1))).toThrow(
      /TEMPLATE_PROMPT_DIVERGES .*<think>/,
    );
  });
});

describe('templates of real models, three turns each', () => {
  const open = (name: 'llama3' | 'qwen3' | 'gemma3') => {
    const { json, config } = packagedTokenizer(name);
    const tokenizer = tokenizerFromJson(json, config);
    const { chat_template } = config as { readonly chat_template: string };
    return { tokenizer, template: compile(chat_template, tokenizer), trainOn: 'all' as const };
  };

  it('Llama 3, whose template always ends with a prompt', () => {
    const options = open('llama3');
    const { examples, rewritten } = renderExamples([system('Be brief.'), ...THREE], undefined, options);
    expect(rewritten).toBe(false);
    expect(trainedTexts(examples[0]!, options.tokenizer)).toEqual([
      'Blue.<|eot_id|>',
      'It hides mud.<|eot_id|>',
      'Yes!<|eot_id|>',
    ]);
    expect([...examples[0]!.ids].filter((id) => id === options.tokenizer.bosId)).toHaveLength(1);
  }, 60_000);

  it('Qwen3, which drops reasoning from the history', () => {
    const options = open('qwen3');
    const plain = renderExamples(THREE, undefined, options);
    expect(plain.rewritten).toBe(true);
    expect(plain.examples.map((e) => trainedTexts(e, options.tokenizer))).toEqual(
      ['Blue.', 'It hides mud.', 'Yes!'].map((t) => [`<think>\n\n</think>\n\n${t}<|im_end|>`]),
    );
    const tools = renderExamples(WITH_TOOLS, TOOLS, options).examples;
    expect(tools.map((e) => trainedTexts(e, options.tokenizer).length)).toEqual([1, 1, 1]);
    expect(trainedTexts(tools[0]!, options.tokenizer)[0]).toContain('{"name": "stock", "arguments": {"item": "bell"}}');
    const thought = [user('1?'), assistant('One', { reasoning_content: 'count' }), user('2?'), assistant('Two')];
    const [first, second] = renderExamples(thought, undefined, options).examples;
    expect(trainedTexts(first!, options.tokenizer)).toEqual(['<think>\ncount\n</think>\n\nOne<|im_end|>']);
    expect(options.tokenizer.decode([...second!.ids])).not.toContain('count');
  }, 60_000);

  it('Gemma 3', () => {
    const options = open('gemma3');
    const { examples } = renderExamples([system('Be brief.'), ...THREE], undefined, options);
    expect(trainedTexts(examples[0]!, options.tokenizer)).toEqual(
      ['Blue.', 'It hides mud.', 'Yes!'].map((t) => `${t}<end_of_turn>`),
    );
    expect(renderPrompt(THREE.slice(0, 1), undefined, options)).toEqual(
      options.tokenizer.encode('<bos><start_of_turn>user\nRed or blue?<end_of_turn>\n<start_of_turn>model\n'),
    );
  }, 60_000);
});
