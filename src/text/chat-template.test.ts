import { describe, expect, it } from 'vitest';
import { TEMPLATES } from '../../test/support/templates.ts';
import { packagedTokenizer } from '../../test/support/tokenizers.ts';
import { chatTemplate, selectTemplate } from './chat-template.ts';
import type { Message } from './messages.ts';
import { strftime } from './strftime.ts';
import { templateSystemPrompt } from './system-prompt.ts';

const NOW = new Date('2026-07-04T15:09:05Z');
const make = (source: string, variables?: Record<string, unknown>) =>
  chatTemplate(source, { bosToken: '<s>', eosToken: '</s>' }, { now: NOW, variables });
const HI: readonly Message[] = [{ role: 'user', content: 'Hi' }];

describe('a chat template', () => {
  it('shows the frozen date', () => {
    const template = make(TEMPLATES.llama31.source);
    expect(template.render(HI)).toContain('Today Date: 04 Jul 2026');
    expect(template.render(HI)).toBe(template.render(HI));
    expect(strftime(NOW, '%A %a %d %-d %B %b %Y %y %H %I %p %M %S %F %T %% %Q')).toBe(
      'Saturday Sat 04 4 July Jul 2026 26 15 03 PM 09 05 2026-07-04 15:09:05 % %Q',
    );
  });

  it('writes the BOS once', () => {
    expect(make(TEMPLATES.gemma.source).render(HI, { addGenerationPrompt: true })).toBe(
      '<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n',
    );
  });

  it('gives the arguments of tool calls as an object, whether they came as text or not', () => {
    const template = make('{{ messages[0].tool_calls[0].function.arguments.city }}');
    const call = (given: string | Record<string, unknown>): Message[] => [
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: given } }] },
    ];
    expect(template.render(call('{"city":"Oslo"}'))).toBe('Oslo');
    expect(template.render(call({ city: 'Oslo' }))).toBe('Oslo');
    expect(() => template.render(call('{"city":'))).toThrow(/DATA_TOOL_CALL .*call of f/);
    expect(() => template.render(call('[]'))).toThrow(/DATA_TOOL_CALL/);
  });

  it('spells JSON as Python does', () => {
    const tools = [{ type: 'function', function: { name: 'f', description: 'é "x"' } }];
    expect(make('{{ tools | tojson }}').render(HI, { tools })).toBe(
      '[{"type": "function", "function": {"name": "f", "description": "é \\"x\\""}}]',
    );
    expect(make('{{ tools is none }}').render(HI, { tools: [] })).toBe('True'.toLowerCase());
  });

  it('passes further variables on, and keeps our weight to itself', () => {
    expect(make('{{ enable_thinking }}', { enable_thinking: false }).render(HI)).toBe('false');
    expect(make('{{ messages[0].weight is defined }}').render([{ ...HI[0]!, weight: 0 }])).toBe('false');
    expect(make('{% for i in range(1, 6, 2) %}{{ i }}{% endfor %}{{ range(3) | length }}').render(HI)).toBe('1353');
  });

  it('says what the template says when it refuses', () => {
    const system: Message[] = [{ role: 'system', content: 'x' }, ...HI];
    expect(() => make(TEMPLATES.gemma.source).render(system)).toThrow(/TEMPLATE_REJECTED .*System role not supported/);
    expect(() => make('{{ messages[0].content.nothing() }}').render(HI)).toThrow(/TEMPLATE_INVALID/);
    expect(() => make('{% if %}')).toThrow(/TEMPLATE_INVALID/);
  });

  it('is chosen by name among several', () => {
    const list = [
      { name: 'default', template: 'a' },
      { name: 'tool_use', template: 'b' },
    ];
    expect([selectTemplate('x'), selectTemplate(list), selectTemplate(list, { tools: true })]).toEqual(['x', 'a', 'b']);
    expect(selectTemplate(undefined)).toBeUndefined();
  });
});

describe('the system prompt of a template', () => {
  it('is found where the template inserts one', () => {
    expect(templateSystemPrompt(make(TEMPLATES.smollm2.source))).toBe(
      'You are a helpful AI assistant named SmolLM, trained by Hugging Face',
    );
    expect(templateSystemPrompt(make(TEMPLATES.smollm3.source))).toBe('You are a helpful AI assistant named SmolLM.');
  });

  it.each([TEMPLATES.llama31, TEMPLATES.llama2, TEMPLATES.mistral, TEMPLATES.gemma])('is none: $name', ({ source }) => {
    expect(templateSystemPrompt(make(source))).toBeUndefined();
  });

  it('is none for Qwen3', () => {
    const config = packagedTokenizer('qwen3').config as { readonly chat_template: string };
    expect(templateSystemPrompt(make(config.chat_template))).toBeUndefined();
  });
});
