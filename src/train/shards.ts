import { dirname, join } from 'node:path';
import type { LoadedFile, Render, Row } from '../data/index.ts';
import { fileExists, fileSize, listFolder, makeFolder, readBytes, remove, sha256, writeAtomic } from '../io/index.ts';
import { modifiedAt } from '../io/modified.ts';
import { version } from '../io/version.ts';
import { type Example, IGNORE } from '../text/example.ts';
import type { TextFiles } from '../text/index.ts';

/** Where rendered rows are kept, and what they depend on. */
export interface ShardPlace {
  readonly folder: string;
  /** Tokenizer and template. */
  readonly text: TextFiles;
  /** What the template takes for now, as an ISO 8601 time; its day counts where the template asks for it. */
  readonly clock: string;
  /** Whatever else the ids of a row depend on. */
  readonly options: unknown;
}

/** Bytes of data from which rendering takes long enough to be kept, and of all shards together before the oldest go. */
const LARGE = 4e6;
const KEPT = 2e9;
/** Rows that are rendered anew to see that a shard still says what the code at hand makes of them. */
const PROBES = 16;
/** Begins every shard; the number is that of its form. */
const MAGIC = 0x54530001;
/** A row whose rendering failed, or that was not asked for. */
const MISSING = -1;

/**
 * Renders rows, or takes what an earlier run made of the very same files, tokenizer, template and options. A shard is believed only if rows spread over it
 * come out the same when they are rendered anew, so that a changed renderer is noticed whatever its version says.
 *
 * @param rows all rows of the files, in their order
 * @returns the renderer, and what keeps its results once all rows have been rendered
 */
export function openShards(
  rows: readonly Row[],
  files: readonly LoadedFile[],
  render: Render,
  place: ShardPlace | undefined,
): { readonly render: Render; readonly keep: () => void } {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (place === undefined || bytes < LARGE) return { render, keep: () => {} };
  const path = join(place.folder, `${keyOf(files, place)}.bin`);
  const numbers = new Map(rows.map((row, i) => [row, i]));
  const known = believed(readShard(path, rows.length), rows, render);
  const made: (readonly Example[] | undefined)[] = known ?? new Array(rows.length);
  return {
    render: (row) => {
      const number = numbers.get(row);
      // A conversation that was shortened is another row.
      if (number === undefined) return render(row);
      made[number] ??= render(row);
      return made[number];
    },
    keep: () => {
      if (known === undefined) writeShard(path, made);
    },
  };
}

/** Files by what is in them, and everything else that decides about ids. */
function keyOf(files: readonly LoadedFile[], { text, clock, options }: ShardPlace): string {
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
  const hashes = files.map((file) => file.sha256);
  const all = JSON.stringify(text, plain);
  const day = all.includes('strftime_now') ? clock.slice(0, 10) : '';
  return sha256(JSON.stringify([MAGIC, version(), hashes, sha256(all), day, options]));
}

function believed(
  shard: (readonly Example[] | undefined)[] | undefined,
  rows: readonly Row[],
  render: Render,
): (readonly Example[] | undefined)[] | undefined {
  if (shard === undefined) return undefined;
  const there = [...shard.keys()].filter((i) => shard[i] !== undefined);
  for (let probe = 0; probe < PROBES; probe++) {
    const i = there[Math.floor((probe * (there.length - 1)) / (PROBES - 1))];
    if (i !== undefined && !isSame(shard[i]!, render(rows[i]!))) return undefined;
  }
  return shard;
}

function isSame(a: readonly Example[], b: readonly Example[]): boolean {
  const equal = (x: Int32Array, y: Int32Array) => x.length === y.length && x.every((value, i) => value === y[i]);
  return a.length === b.length && a.every((one, i) => equal(one.ids, b[i]!.ids) && equal(one.labels, b[i]!.labels));
}

/** A header of five numbers; the examples of each row; the tokens of each example; ids; and 1 for each token with loss, a byte each. */
function writeShard(path: string, made: readonly (readonly Example[] | undefined)[]): void {
  const counts = Int32Array.from(made, (examples) => examples?.length ?? MISSING);
  const examples = made.flatMap((own) => own ?? []);
  const lengths = Int32Array.from(examples, ({ ids }) => ids.length);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const header = Int32Array.of(MAGIC, counts.length, lengths.length, tokens % 2 ** 30, Math.floor(tokens / 2 ** 30));
  const bytesOf = (numbers: Int32Array) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  makeFolder(dirname(path));
  writeAtomic(path, pieces());
  dropOldest(dirname(path));

  function* pieces(): Iterable<Uint8Array> {
    yield bytesOf(header);
    yield bytesOf(counts);
    yield bytesOf(lengths);
    for (const { ids } of examples) yield bytesOf(ids);
    for (const { labels } of examples) yield Uint8Array.from(labels, (label) => (label === IGNORE ? 0 : 1));
  }
}

/** Undefined where there is none, or one that is not whole. */
function readShard(path: string, rows: number): (readonly Example[] | undefined)[] | undefined {
  if (!fileExists(path)) return undefined;
  const bytes = readBytes(path);
  const numbers = new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
  const [magic, count, examples = 0, low = 0, high = 0] = numbers;
  const tokens = low + high * 2 ** 30;
  if (magic !== MAGIC || count !== rows || bytes.byteLength !== 4 * (5 + rows + examples + tokens) + tokens)
    return undefined;
  const counts = numbers.subarray(5, 5 + rows);
  const lengths = numbers.subarray(5 + rows, 5 + rows + examples);
  let [example, at] = [0, 5 + rows + examples];
  const masks = 4 * (at + tokens);
  const first = at;
  return Array.from(counts, (own) => {
    if (own === MISSING) return undefined;
    return Array.from({ length: own }, (): Example => {
      const length = lengths[example++]!;
      const ids = numbers.subarray(at, at + length);
      const mask = masks + at - first;
      at += length;
      return { ids, labels: ids.map((id, i) => (bytes[mask + i] === 1 ? id : IGNORE)) };
    });
  });
}

function dropOldest(folder: string): void {
  const shards = listFolder(folder)
    .filter((name) => name.endsWith('.bin'))
    .map((name) => ({ path: join(folder, name), at: modifiedAt(join(folder, name)) }))
    .sort((a, b) => b.at - a.at);
  let kept = 0;
  for (const { path } of shards) {
    kept += fileSize(path);
    if (kept > KEPT && path !== shards[0]!.path) remove(path);
  }
}
