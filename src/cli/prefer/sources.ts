import { basename } from 'node:path';
import { TunesmithError } from '../../errors/index.ts';
import type { Context, Values } from '../command.ts';
import type { ModelRequest } from '../domain.ts';
import { type ModelFlags, requestModel } from '../models.ts';
import { samplingOf, samplingOptions } from '../sampling.ts';
import { domain } from '../wiring.ts';
import type { AnswerSource } from './draw.ts';

/** Options of how answers are drawn. */
const { temperature: _, ...others } = samplingOptions;
export const drawOptions = {
  temperature: {
    type: 'string',
    value: 'X,...',
    many: true,
    description: 'how boldly answers are drawn; several are taken by turns',
    default: '0.8',
  },
  ...others,
} as const;

/** The given values of {@link drawOptions}. */
export type DrawFlags = Values<typeof drawOptions>;

/** Temperatures as they were given. @throws CLI_OPTION_VALUE */
function temperaturesOf(given: readonly string[] = ['0.8']): number[] {
  return given
    .flatMap((list) => list.split(','))
    .map((word) => {
      const value = /^\d*\.?\d+$/.test(word.trim()) ? Number(word) : Number.NaN;
      if (Number.isFinite(value)) return value;
      throw new TunesmithError('CLI_OPTION_VALUE', { message: `--temperature takes numbers, and ${word} is none.` });
    });
}

/** A way to draw for each temperature. @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT */
export function drawings(flags: DrawFlags): ReturnType<typeof samplingOf>[] {
  const { temperature: given, ...rest } = flags;
  const temperatures = temperaturesOf(given);
  const { 'top-k': k, 'top-p': p, 'min-p': m, seed, ...greedy } = rest;
  // The seed orders what is shown too, so that only choices of tokens are without effect where all are greedy.
  const boldly = temperatures.some((value) => value > 0);
  if (!boldly && (k ?? p ?? m) !== undefined) samplingOf({ ...rest, temperature: 0 });
  return temperatures.map((temperature) => samplingOf({ ...(temperature > 0 ? rest : greedy), temperature }));
}

/** What is drawn from. */
export interface SourceRequest {
  readonly models: readonly string[];
  readonly flags: ModelFlags;
  /** Whether the base of a model with an adapter answers too. */
  readonly against: boolean;
  readonly drawings: readonly ReturnType<typeof samplingOf>[];
}

/** Open models, and the ways to draw from them. */
export interface OpenSources {
  readonly sources: readonly AnswerSource[];
  close(): Promise<void>;
}

/** Opens all models. @throws the errors of models, CLI_OPTION_CONFLICT */
export async function openSources(
  { models, flags, against, drawings: ways }: SourceRequest,
  context: Context,
): Promise<OpenSources> {
  if (models.length > 1 && flags.adapter !== undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--adapter goes with one model.' });
  }
  const sources: AnswerSource[] = [];
  const sessions: AnswerSource['session'][] = [];
  const close = async () => {
    for (const session of sessions) await session.close();
  };
  try {
    for (const name of models) {
      const model = await requestModel(name, flags, context);
      const session = await domain.openModel(model);
      sessions.push(session);
      const bases = session.hasAdapter && against ? [false, true] : [false];
      for (const base of bases) {
        for (const sampling of ways) {
          const by = `${called(name, model)}${base ? ' (base)' : ''}, temperature ${sampling.temperature}`;
          sources.push({ session, base, sampling, by });
        }
      }
    }
    requireAlike(sessions, against);
    return { sources, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function called(name: string, { run, adapter }: ModelRequest): string {
  if (run !== undefined) return basename(run);
  return adapter === undefined ? name : `${name} with ${basename(adapter)}`;
}

function requireAlike(sessions: readonly AnswerSource['session'][], against: boolean): void {
  if (against && !sessions.some((session) => session.hasAdapter)) {
    const message = '--against base has no effect on models without an adapter.';
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
  if (new Set(sessions.map(({ format }) => format)).size > 1) {
    const message = 'one model answers turns and another goes on with raw text, so they have no prompt in common.';
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
}
