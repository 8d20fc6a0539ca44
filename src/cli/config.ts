import { type ConfigLayer, type ResolvedConfig, resolveLayers } from '../registry/config.ts';
import type { OptionValue } from './command.ts';
import type { ConfigFile } from './config-file.ts';
import { configFlags, fieldValue } from './fields.ts';

export type { ResolvedConfig } from '../registry/config.ts';

/** Values by the names of flags; what is no field of the config is left alone. */
export type Flags = Readonly<Record<string, OptionValue | undefined>>;

/**
 * Defaults < config file < flags.
 *
 * @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT, CONFIG_KEY_UNKNOWN, CONFIG_VALUE, CLI_ARGUMENT; an AggregateError where there are several
 */
export function resolveConfig(flags: Flags, file: ConfigFile | undefined): ResolvedConfig {
  return resolveLayers([...(file === undefined ? [] : [fileLayer(file)]), flagLayer(flags)]);
}

function fileLayer({ file, value, lineOf }: ConfigFile): ConfigLayer {
  return { kind: 'file', file, value, lineOf };
}

/** What flags say of the config. */
export function flagLayer(flags: Flags): ConfigLayer {
  const fields = configFlags();
  const value: Record<string, unknown> = {};
  for (const field of fields) {
    const given = flags[field.flag];
    if (given === undefined) continue;
    const [section = '', key] = field.path.split('.');
    const there = value[section];
    if (key === undefined) value[section] = fieldValue(field, given);
    else value[section] = { ...(typeof there === 'object' ? there : {}), [key]: fieldValue(field, given) };
  }
  const flagOf = (path: string) => fields.find((field) => field.path === path)?.flag ?? path;
  return { kind: 'flags', value, flagOf };
}
