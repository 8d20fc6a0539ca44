import { arithmeticItems } from './arithmetic.ts';
import { completionItems } from './completion.ts';
import { factItems } from './facts.ts';
import { grammarItems } from './grammar.ts';
import type { ChoiceItem } from './item.ts';

export type { ChoiceItem } from './item.ts';

/** What general ability is measured on: written for this project, in English, easy enough that a model of 135M parameters is above chance. */
export function probeItems(): Readonly<
  Record<'grammar' | 'facts' | 'completion' | 'arithmetic', readonly ChoiceItem[]>
> {
  return {
    grammar: grammarItems(),
    facts: factItems(),
    completion: completionItems(),
    arithmetic: arithmeticItems(),
  };
}
