import type { Domain } from './domain.ts';

/**
 * Connects the commands with what they command. A command whose functions are missing here is not offered (see table.ts).
 * Each function imports what it needs when it is called, so that `tunesmith --help` stays quick.
 */
export const domain: Partial<Domain> = {};

/** A function of the domain that a command has declared as its need. */
export function need<K extends keyof Domain>(name: K): Domain[K] {
  const found = domain[name];
  if (found === undefined) throw new Error(`internal: ${name} is not wired, so the command should not be offered`);
  return found;
}
