import { TunesmithError } from '../../errors/index.ts';

/** Reads the values of adapter_config.json that methods need. */
export interface PeftReader {
  readonly json: Readonly<Record<string, unknown>>;
  /** @throws ADAPTER_CONFIG for anything but a number above 0 */
  positive(key: string): number;
  /** @throws ADAPTER_CONFIG for anything but names of modules, or a pattern */
  names(key: string): string | readonly string[];
  /** Numbers by pattern. @throws ADAPTER_CONFIG */
  pattern(key: string): Readonly<Record<string, number>>;
  /** @throws ADAPTER_UNSUPPORTED */
  refuse(message: string): never;
}

/** A reader of the object in `file`. */
export function peftReader(json: Readonly<Record<string, unknown>>, file: string): PeftReader {
  const fault = (key: string, rule: string): never => {
    const message = `${key} must be ${rule}, got ${JSON.stringify(json[key])}.`;
    throw new TunesmithError('ADAPTER_CONFIG', { file, message });
  };
  return {
    json,
    positive(key) {
      const value = json[key];
      return typeof value === 'number' && value > 0 ? value : fault(key, 'a positive number');
    },
    names(key) {
      const value = json[key];
      if (typeof value === 'string') return value;
      if (Array.isArray(value) && value.every((v): v is string => typeof v === 'string')) return value;
      return fault(key, 'a text or a list of names');
    },
    pattern(key) {
      const value = json[key] ?? {};
      const isPattern =
        typeof value === 'object' && !Array.isArray(value) && Object.values(value).every((v) => Number(v) > 0);
      return isPattern ? (value as Record<string, number>) : fault(key, 'positive numbers by module');
    },
    refuse(message) {
      throw new TunesmithError('ADAPTER_UNSUPPORTED', { file, message });
    },
  };
}
