import { fileURLToPath } from 'node:url';
import type { Abilities } from '../train/retain/abilities.ts';
import { paragraphsOf } from './tasks.ts';

/** The general text lies as deep beneath src as beneath dist. */
const generalText = () => fileURLToPath(new URL('../../examples/general.txt', import.meta.url));

/** What runs measure their forgetting on: the text and the probes that `eval` measures too. */
export const abilities: Abilities = {
  generalText: () => paragraphsOf(generalText()),
};
