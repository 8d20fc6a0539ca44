import { describe, expect, it } from 'vitest';
import { defineCommand } from './command.ts';
import { commandHelp } from './help.ts';
import { parseCommandLine } from './parse.ts';

const command = defineCommand({
  name: 'try',
  summary: 'Tries.',
  positionals: ['FILE', '[FILE...]'],
  options: {
    text: { type: 'string', description: 'a text' },
    rate: { type: 'number', description: 'a rate', default: '0.1' },
    'max-tokens': { type: 'integer', description: 'a count' },
    pack: { type: 'boolean', description: 'pack', negatable: true, default: 'true' },
    device: { type: 'string', choices: ['cpu', 'webgpu'], description: 'a device' },
    stop: { type: 'string', many: true, description: 'a stop' },
  },
  examples: ['try a.txt'],
  run: async () => 0,
});

const parse = (...argv: string[]) => parseCommandLine(command, argv);

describe('parseCommandLine', () => {
  it('reads options of each type beside positionals in any order', () => {
    const { options, positionals } = parse(
      'a',
      '--rate',
      '1e-3',
      'b',
      '--max-tokens=5',
      '--no-pack',
      '--device',
      'cpu',
    );
    expect(options).toEqual({ rate: 0.001, 'max-tokens': 5, pack: false, device: 'cpu' });
    expect(positionals).toEqual(['a', 'b']);
    expect(parse('a', '--pack', '--stop', 'x', '--stop=y').options).toEqual({ pack: true, stop: ['x', 'y'] });
  });

  it('takes values that start with a dash behind an equals sign, and words behind -- as they are', () => {
    expect(parse('a', '--text=--no-pack').options.text).toBe('--no-pack');
    expect(parse('a', '--text=').options.text).toBe('');
    expect(parse('a', '--text', '-').options.text).toBe('-');
    expect(() => parse('a', '--text', '--rate')).toThrow(/CLI_OPTION_VALUE .*--text=--rate/);
    expect(parse('--', '--rate').positionals).toEqual(['--rate']);
  });

  it.each([
    [['a', '--rat', '1'], /CLI_OPTION_UNKNOWN .*--rat\. Fix: did you mean --rate\?/],
    [['a', '--maxTokens', '1'], /CLI_OPTION_UNKNOWN .*did you mean --max-tokens\?/],
    [['a', '-x'], /CLI_OPTION_UNKNOWN/],
    [['a', '--no-rate'], /CLI_OPTION_UNKNOWN/],
    [['a', '--__proto__', '1'], /CLI_OPTION_UNKNOWN/],
    [['a', '--rate'], /CLI_OPTION_VALUE --rate needs a value/],
    [['a', '--rate', 'fast'], /CLI_OPTION_VALUE --rate takes a number, and fast is none/],
    [['a', '--rate=0x10'], /CLI_OPTION_VALUE/],
    [['a', '--rate=Infinity'], /CLI_OPTION_VALUE/],
    [['a', '--max-tokens', '1.5'], /CLI_OPTION_VALUE --max-tokens takes a whole number/],
    [['a', '--device', 'gpu'], /CLI_OPTION_VALUE --device gpu is not one of cpu, webgpu/],
    [['a', '--rate', '1', '--rate', '2'], /CLI_OPTION_VALUE --rate is given twice/],
    [['a', '--pack=no'], /CLI_OPTION_VALUE --pack takes no value/],
    [['a', '--no-pack=x'], /CLI_OPTION_VALUE --no-pack takes no value/],
    [[], /CLI_ARGUMENT tunesmith try needs FILE/],
  ])('refuses %j', (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });

  it('refuses more words than there are places', () => {
    const one = { ...command, positionals: ['FILE'] };
    expect(() => parseCommandLine(one, ['a', 'b'])).toThrow(/CLI_ARGUMENT .*no use for b/);
  });
});

describe('commandHelp', () => {
  it('shows each option with its default, and an example', () => {
    const help = commandHelp(command);
    expect(help).toContain('tunesmith try FILE [FILE...] [options]');
    expect(help).toMatch(/--rate VALUE +a rate \(default: 0\.1\)/);
    expect(help).toMatch(/--no-pack +do not: pack/);
    expect(help).toContain('--device cpu|webgpu');
    expect(help).toContain('  tunesmith try a.txt');
  });
});
