import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { parseModelfile, runGoTemplate } from '../../test/support/go-template.ts';
import { TEMPLATES } from '../../test/support/templates.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { byteTokenizer } from '../../test/support/tokenizers.ts';
import { chatTemplate, type Message } from '../text/index.ts';
import { goTemplate, modelfile } from './ollama.ts';
import { turnFormat } from './turns.ts';
import type { ExportJob } from './types.ts';

const folder = temporaryFolder();
const options = { now: new Date('2026-05-03T00:00:00Z') };
const tokens = { bosToken: '<s>', eosToken: '</s>' };

const turns: Message[] = [
  { role: 'user', content: 'One {{ .Content }}?' },
  { role: 'assistant', content: 'Yes.' },
  { role: 'user', content: 'Two?\nReally?' },
];

const jobOf = (source: string, tools: { addsBos?: boolean; system?: string } = {}) => {
  const template = chatTemplate(source, tokens, options);
  const tokenizer = { ...byteTokenizer(), addsBos: tools.addsBos ?? false };
  const given = { source: { path: 'model' }, tools: { tokenizer, template }, name: 'ada', quant: 'q8_0' };
  return { ...given, system: tools.system, licence: 'Apache-2.0' } as unknown as ExportJob;
};

describe('templates in Go', () => {
  test.each(Object.values(TEMPLATES).map((kind) => [kind.name, kind] as const))(
    '%s says what Jinja says',
    (_, kind) => {
      const template = chatTemplate(kind.source, tokens, options);
      const format = turnFormat(template);
      expect(format).toBeDefined();
      const system: Message = { role: 'system', content: 'Be brief.' };
      for (const messages of [turns, turns.slice(0, 1), ...(format?.system ? [[system, ...turns]] : [])]) {
        const wanted = template.render(messages, { addGenerationPrompt: true });
        expect(runGoTemplate(goTemplate(format!), messages)).toBe(wanted);
      }
    },
  );

  test('that show the same turn differently are refused with the reason', () => {
    const counted = `{% for m in messages %}{{ loop.index }} {{ m.role }}: {{ m.content }}</s>{% endfor %}`;
    expect(() => modelfile(jobOf(counted))).toThrow(/EXPORT_UNSUPPORTED.*differently/);
  });

  test('leave out the BOS that Ollama writes itself', () => {
    const of = (addsBos: boolean) => parseModelfile(modelfile(jobOf(TEMPLATES.gemma.source, { addsBos })));
    const template = (addsBos: boolean) => of(addsBos).find(({ name }) => name === 'TEMPLATE')?.value ?? '';
    expect(template(false)).toContain('<s><start_of_turn>');
    expect(template(true)).not.toContain('<s>');
    expect(() => modelfile(jobOf(TEMPLATES.smollm2.source, { addsBos: true }))).toThrow(/EXPORT_UNSUPPORTED.*<s>/);
  });
});

describe('a Modelfile', () => {
  test('has weights, template, system prompt, stops and licence', () => {
    const instructions = parseModelfile(modelfile(jobOf(TEMPLATES.smollm2.source, { system: 'You are "Ada".\nHi.' })));
    expect(instructions.filter(({ name }) => name !== 'TEMPLATE')).toEqual([
      { name: 'FROM', value: './ada-q8_0.gguf' },
      { name: 'SYSTEM', value: 'You are "Ada".\nHi.' },
      { name: 'PARAMETER', value: 'stop "<|im_end|>"' },
      { name: 'PARAMETER', value: 'stop "</s>"' },
      { name: 'LICENSE', value: 'Apache-2.0' },
    ]);
  });

  test('takes the system prompt that the template itself would insert', () => {
    const [, , system] = parseModelfile(modelfile(jobOf(TEMPLATES.smollm2.source)));
    expect(system?.value).toMatch(/^You are a helpful AI assistant named SmolLM/);
  });

  test('cannot hold three quotes in a row', () => {
    expect(() => modelfile(jobOf(TEMPLATES.smollm2.source, { system: 'Say """.' }))).toThrow(/EXPORT_UNSUPPORTED/);
  });

  test('stands beside its GGUF file, and the line that creates the model is said', async () => {
    const model = writeTinyChatModel(path.join(folder, 'toy'));
    const out = path.join(folder, 'out');
    const { exit, lines, stderr } = await cli(['export', model, '--to', 'ollama', '--out', out, '--threads', 1]);
    expect(exit, stderr).toBe(0);
    const [from] = parseModelfile(readFileSync(path.join(out, 'Modelfile'), 'utf8'));
    expect(readdirSync(out)).toContain(from?.value.replace('./', ''));
    expect(lines.at(-1)?.next).toBe(`ollama create toy -f ${path.join(out, 'Modelfile')}`);
  }, 60_000);
});
