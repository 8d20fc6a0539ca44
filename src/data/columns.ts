import { nearestName, TunesmithError } from '../errors/index.ts';
import { COLUMNS, type Fields, SHAPES } from './shapes.ts';

/** Columns of the file to the columns that are read as: from --map THEIRS=OURS. */
export type ColumnMap = Readonly<Record<string, string>>;

/** Pairs as `THEIRS=OURS`, several of them parted by commas. @throws CLI_OPTION_VALUE */
export function readPairs(option: string, pairs: readonly string[]): Record<string, string> {
  const table: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const pair of pairs.flatMap((given) => given.split(','))) {
    const at = pair.lastIndexOf('=');
    if (at < 1 || at === pair.length - 1) {
      throw new TunesmithError('CLI_OPTION_VALUE', {
        message: `--${option} ${pair} is not THEIRS=OURS.`,
        fix: `--${option} theirs=ours, with their name first`,
      });
    }
    const [theirs, ours] = [pair.slice(0, at), pair.slice(at + 1)];
    if (theirs in table && table[theirs] !== ours) {
      const message = `--${option} gives ${theirs} two meanings: ${table[theirs]} and ${ours}.`;
      throw new TunesmithError('CLI_OPTION_VALUE', { message });
    }
    table[theirs] = ours;
  }
  return table;
}

/** Names that a mapped column may have: those of the shapes, and of preferences and labels. */
const KNOWN: ReadonlySet<string> = new Set([
  ...SHAPES.flatMap((shape) => COLUMNS[shape]),
  ...['chosen', 'rejected', 'label', 'labels', 'kto_tag', 'preferred_output', 'non_preferred_output'],
]);

/** Whether some format reads a column of this name. */
export function isKnownColumn(name: string): boolean {
  return KNOWN.has(name);
}

/** Renames columns of records, and remembers which of them were met. */
export interface Mapper {
  /** A column whose name another one is given is left out. */
  apply(fields: Fields): Fields;
  /** Columns that were met, if any are renamed. */
  seen(): readonly string[];
  /** Columns that were met by another mapper of the same map. */
  meet(columns: readonly string[]): void;
  /** Throws if a column of the map was in no record. @throws CLI_OPTION_VALUE */
  finish(): void;
}

/** @throws CLI_OPTION_VALUE if a name of ours is none */
export function openMapper(map: ColumnMap): Mapper {
  const pairs = Object.entries(map);
  for (const [theirs, ours] of pairs) if (!KNOWN.has(ours)) throw unknownColumn(theirs, ours);
  const seen = new Set<string>();
  const meet = (names: readonly string[]) => {
    for (const name of names) if (seen.size < 1000 || name in map) seen.add(name);
  };
  return {
    seen: () => [...seen],
    meet,
    apply: (fields) => {
      if (pairs.length === 0) return fields;
      meet(Object.keys(fields));
      const renamed: [string, unknown][] = [];
      for (const [name, value] of Object.entries(fields)) {
        const ours = Object.hasOwn(fields, name) && name in map ? map[name] : undefined;
        // A column whose name another one takes makes way for it.
        if (ours === undefined && pairs.some(([theirs, to]) => to === name && Object.hasOwn(fields, theirs))) continue;
        renamed.push([ours ?? name, value]);
      }
      return Object.fromEntries(renamed);
    },
    finish: () => {
      const theirs = Object.keys(map).find((name) => !seen.has(name));
      if (theirs === undefined) return;
      const message = `--map ${theirs}=${map[theirs]}: no row has the column ${theirs}.`;
      const swapped = seen.has(map[theirs] ?? '') ? `${map[theirs]}=${theirs}` : undefined;
      const near = nearestName(theirs, [...seen]);
      const fix = swapped ?? (near === undefined ? undefined : `${near}=${map[theirs]}`);
      throw new TunesmithError('CLI_OPTION_VALUE', { message, ...(fix === undefined ? {} : { fix: `--map ${fix}` }) });
    },
  };
}

function unknownColumn(theirs: string, ours: string): TunesmithError {
  const message = `--map ${theirs}=${ours}: no shape of rows has a column ${ours}.`;
  const near = KNOWN.has(theirs) ? `${ours}=${theirs}` : undefined;
  const nearest = nearestName(ours, [...KNOWN]);
  const fix = near ?? (nearest === undefined ? undefined : `${theirs}=${nearest}`);
  return new TunesmithError('CLI_OPTION_VALUE', {
    message,
    fix: fix === undefined ? `take one of ${[...KNOWN].join(', ')}` : `--map ${fix}`,
  });
}
