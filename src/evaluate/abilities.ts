import type { Abilities } from '../train/retain/abilities.ts';
import { scoreChoices } from './likelihood.ts';
import { probeItems } from './probes/index.ts';
import { generalText } from './tasks.ts';

/** What runs measure their forgetting on: the text and the probes that `eval` measures too. */
export const abilities: Abilities = {
  generalText,
  async suite(net, tokenizer, signal) {
    const items = Object.values(probeItems()).flat();
    let right = 0;
    for await (const { item, scores } of scoreChoices(net, tokenizer, items, signal)) {
      if (scores.indexOf(Math.max(...scores)) === items[item]!.gold) right++;
    }
    return right / items.length;
  },
};
