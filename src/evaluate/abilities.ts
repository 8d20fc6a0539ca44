import type { Abilities } from '../train/retain/abilities.ts';
import { generalText } from './tasks.ts';

/** What runs measure their forgetting on: the text and the probes that `eval` measures too. */
export const abilities: Abilities = { generalText };
