import { TunesmithError } from '../../errors/index.ts';

/** Targets that stand for many modules. */
const GROUPS: Readonly<Record<string, (name: string) => boolean>> = {
  'all-linear': () => true,
  attention: (name) => /attn|attention/.test(name),
  mlp: (name) => !/attn|attention/.test(name),
};

/**
 * Which modules targets name. `all-linear` is every linear module of the layers, `attention` and `mlp` are parts of them; a list matches whole names or suffixes at a
 * dot (`q_proj`); any other text is a regular expression that must match the whole name.
 *
 * @param all full names of the modules that there are
 * @throws ADAPTER_TARGETS when a name matches nothing
 */
export function targetMatcher(targets: string | readonly string[], all: readonly string[]): (name: string) => boolean {
  if (typeof targets === 'string' && !isList(targets)) return patternMatcher(targets);
  const names = namesOf(targets);
  for (const target of names) {
    if (all.some((name) => matchesOne(target, name))) continue;
    throw new TunesmithError('ADAPTER_TARGETS', {
      message: `target "${target}" is not a linear module of the model.`,
      fix: targetsFix(all),
    });
  }
  return (name) => names.some((target) => matchesOne(target, name));
}

function namesOf(targets: string | readonly string[]): readonly string[] {
  return typeof targets === 'string' ? targets.split(',').map((t) => t.trim()) : targets;
}

function matchesOne(target: string, name: string): boolean {
  return GROUPS[target]?.(name) ?? isSuffix(target, name);
}

/** Whether targets, which need not match anything, match a module. @throws ADAPTER_TARGETS for what is no regular expression */
export function matchesTargets(targets: string | readonly string[], name: string): boolean {
  if (typeof targets === 'string' && !isList(targets)) return patternMatcher(targets)(name);
  return namesOf(targets).some((target) => matchesOne(target, name));
}

function patternMatcher(targets: string): (name: string) => boolean {
  const pattern = patternOf(`^(?:${targets})$`, targets);
  return (name) => pattern.test(name);
}

/** Whether targets are names with commas between, not a regular expression. */
export function isList(targets: string): boolean {
  return targets === 'all-linear' || /^[\w.,\s]+$/.test(targets);
}

/** The names that can be used. */
export function targetsFix(all: readonly string[]): string {
  const short = new Set(all.map((name) => name.split('.').at(-1)));
  return `use ${Object.keys(GROUPS).join(', ')} or names among ${[...short].join(', ')}`;
}

/** @throws ADAPTER_TARGETS for what is no regular expression */
function patternOf(source: string, given: string): RegExp {
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new TunesmithError('ADAPTER_TARGETS', { message: `"${given}" is no regular expression.`, cause });
  }
}

/** `q_proj` of `model.layers.0.self_attn.q_proj`. */
export function isSuffix(target: string, name: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}

/** The first value whose key matches; peft matches a key as `(.*\.)?(key)$`. @throws ADAPTER_TARGETS */
export function patternValue(patterns: Readonly<Record<string, number>>, name: string): number | undefined {
  for (const [key, value] of Object.entries(patterns)) {
    if (isSuffix(key, name) || patternOf(`^(.*\\.)?(${key})$`, key).test(name)) return value;
  }
  return undefined;
}

/** Refuses keys of a pattern that match none of the adapted modules. @throws ADAPTER_TARGETS */
export function requirePatterns(patterns: Readonly<Record<string, number>>, adapted: readonly string[]): void {
  for (const key of Object.keys(patterns)) {
    if (adapted.some((name) => patternValue({ [key]: 1 }, name) !== undefined)) continue;
    throw new TunesmithError('ADAPTER_TARGETS', {
      message: `pattern "${key}" matches none of the adapted modules.`,
      fix: targetsFix(adapted),
    });
  }
}

/** Reads `0-3,10`, `last:8` or `every:2` (the last of each two) as layer numbers. @throws ADAPTER_TARGETS */
export function parseLayers(text: string, layers: number): number[] {
  const bad = (): never => {
    throw new TunesmithError('ADAPTER_TARGETS', {
      message: `layers "${text}" is not a list such as 0-3,10 or last:8 or every:2 within 0 to ${layers - 1}.`,
    });
  };
  const special = /^(last|every):(\d+)$/.exec(text);
  if (special !== null) {
    const count = Number(special[2]);
    if (count < 1 || count > layers) return bad();
    const all = Array.from({ length: layers }, (_, layer) => layer);
    return special[1] === 'last' ? all.slice(-count) : all.filter((layer) => layer % count === count - 1);
  }
  const chosen = new Set<number>();
  for (const part of text.split(',')) {
    const range = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    if (range === null) return bad();
    const from = Number(range[1]);
    const to = Number(range[2] ?? range[1]);
    if (from > to || to >= layers) return bad();
    for (let layer = from; layer <= to; layer++) chosen.add(layer);
  }
  return [...chosen].sort((a, b) => a - b);
}
