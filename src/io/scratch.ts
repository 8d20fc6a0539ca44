import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFully } from './files.ts';
import { writeError } from './fs-errors.ts';

/** Numbers that are put aside while files are read: in memory up to a budget, beyond it in a temporary folder. */
export interface Scratch {
  /** Records of `width` numbers in `parts` heaps, each of which is read as a whole. */
  table(width: number, parts?: number): ScratchTable;
  /** Lists of numbers that are read one by one. */
  lists(): ScratchLists;
  /** Bytes on the disk so far. */
  written(): number;
  /** Takes all of it away. */
  close(): void;
}

/** Records of unsigned 32-bit numbers, in heaps. */
export interface ScratchTable {
  /** Adds a record to a heap; as many numbers count as the table is wide. @throws DISK_FULL, FILE_WRITE_FAILED */
  push(part: number, a: number, b?: number, c?: number, d?: number): void;
  /** All records of a heap one after the other, in the order in which they came. */
  part(part: number): Uint32Array;
  /** The same, a piece at a time. */
  pieces(part: number): Iterable<Uint32Array>;
}

/** Lists of 32-bit numbers of any length. */
export interface ScratchLists {
  /** Returns where the list stands. @throws DISK_FULL, FILE_WRITE_FAILED */
  add(list: Int32Array): number;
  at(place: number): Int32Array;
  /** Text as a list. */
  addText(text: string): number;
  textAt(place: number): string;
}

/** Where scratch data go that do not fit. */
export const scratchFolder = tmpdir;
/** Memory that scratch data take before they go to the disk. */
export const SCRATCH_BUDGET = 128 * 2 ** 20;
/** Numbers in one page of lists. */
const PAGE = 2 ** 16;
/** Numbers of a heap that are gathered at least. */
const FIRST = 256;

/** Whoever holds memory: it can be told to let go of it. */
interface Holder {
  held(): number;
  flush(): void;
}

/** @param budget bytes that may be held in memory before the largest holder goes to the disk */
export function openScratch(budget = SCRATCH_BUDGET): Scratch {
  const holders: Holder[] = [];
  const files: ScratchFile[] = [];
  let folder: string | undefined;
  let held = 0;
  const openFile = (): ScratchFile => {
    folder ??= mkdtempSync(join(scratchFolder(), 'tunesmith-'));
    const file = openScratchFile(join(folder, String(files.length)));
    files.push(file);
    return file;
  };
  const grow = (bytes: number) => {
    if (held + bytes > budget) {
      holders.reduce((a, b) => (b.held() > a.held() ? b : a)).flush();
      held = holders.reduce((sum, holder) => sum + holder.held(), 0);
    }
    held += bytes;
  };
  return {
    table: (width, parts = 1) => {
      const { table, holder } = openTable(width, parts, openFile, grow);
      holders.push(holder);
      return table;
    },
    lists: () => {
      const { lists, holder } = openLists(openFile, grow);
      holders.push(holder);
      return lists;
    },
    written: () => files.reduce((sum, file) => sum + file.size(), 0),
    close: () => {
      for (const file of files) file.close();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface ScratchFile {
  /** Returns the offset at which the numbers begin, in bytes. */
  append(numbers: Uint32Array | Int32Array): number;
  read(target: Uint32Array | Int32Array, offset: number): void;
  size(): number;
  close(): void;
}

function openScratchFile(path: string): ScratchFile {
  let size = 0;
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx+');
  } catch (error) {
    throw writeError(error, path);
  }
  const bytesOf = (numbers: Uint32Array | Int32Array) =>
    new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  return {
    append: (numbers) => {
      const offset = size;
      const bytes = bytesOf(numbers);
      try {
        for (let done = 0; done < bytes.length; ) {
          done += writeSync(descriptor, bytes, done, bytes.length - done, size + done);
        }
      } catch (error) {
        throw writeError(error, path);
      }
      size += bytes.length;
      return offset;
    },
    read: (target, offset) => readFully(descriptor, bytesOf(target), offset, path),
    size: () => size,
    close: () => closeSync(descriptor),
  };
}

interface Heap {
  numbers: Uint32Array;
  length: number;
  /** Where pieces of it lie in the file. */
  readonly pieces: { readonly offset: number; readonly length: number }[];
}

function openTable(width: number, parts: number, openFile: () => ScratchFile, grow: (bytes: number) => void) {
  const heaps: Heap[] = Array.from({ length: parts }, () => ({ numbers: new Uint32Array(0), length: 0, pieces: [] }));
  let file: ScratchFile | undefined;
  const enlarge = (heap: Heap) => {
    // Making room may send the heap to the disk, and then it begins anew.
    grow(Math.max(4 * FIRST * width, heap.numbers.byteLength));
    const larger = new Uint32Array(Math.max(FIRST * width, heap.numbers.length * 2));
    larger.set(heap.numbers);
    heap.numbers = larger;
  };
  const holder: Holder = {
    held: () => heaps.reduce((sum, heap) => sum + heap.numbers.byteLength, 0),
    flush: () => {
      file ??= openFile();
      for (const heap of heaps) {
        if (heap.length > 0) {
          heap.pieces.push({ offset: file.append(heap.numbers.subarray(0, heap.length)), length: heap.length });
        }
        heap.numbers = new Uint32Array(0);
        heap.length = 0;
      }
    },
  };
  const table: ScratchTable = {
    push: (part, a, b = 0, c = 0, d = 0) => {
      const heap = heaps[part]!;
      if (heap.length + width > heap.numbers.length) enlarge(heap);
      const { numbers } = heap;
      const at = heap.length;
      numbers[at] = a;
      if (width > 1) numbers[at + 1] = b;
      if (width > 2) numbers[at + 2] = c;
      if (width > 3) numbers[at + 3] = d;
      heap.length = at + width;
    },
    part: (part) => {
      const { numbers, length, pieces } = heaps[part]!;
      if (pieces.length === 0) return numbers.subarray(0, length);
      const all = new Uint32Array(pieces.reduce((sum, piece) => sum + piece.length, length));
      let at = 0;
      for (const piece of pieces) {
        file!.read(all.subarray(at, at + piece.length), piece.offset);
        at += piece.length;
      }
      all.set(numbers.subarray(0, length), at);
      return all;
    },
    *pieces(part) {
      const { pieces } = heaps[part]!;
      for (const piece of pieces) {
        const numbers = new Uint32Array(piece.length);
        file!.read(numbers, piece.offset);
        yield numbers;
      }
      yield heaps[part]!.numbers.subarray(0, heaps[part]!.length);
    },
  };
  return { table, holder };
}

function openLists(openFile: () => ScratchFile, grow: (bytes: number) => void) {
  // A list is its length and its numbers, within one page unless it is longer than that.
  const pages: { numbers: Int32Array | undefined; length: number; offset: number }[] = [];
  let used = PAGE;
  let file: ScratchFile | undefined;
  const holder: Holder = {
    held: () => pages.reduce((sum, page) => sum + (page.numbers?.byteLength ?? 0), 0),
    flush: () => {
      file ??= openFile();
      for (const page of pages) {
        if (page.numbers === undefined) continue;
        if (page === pages.at(-1)) page.length = used;
        page.offset = file.append(page.numbers.subarray(0, page.length));
        page.numbers = undefined;
      }
      used = PAGE;
    },
  };
  const room = (length: number): Int32Array => {
    const page = pages.at(-1);
    if (page?.numbers !== undefined && used + length <= page.length) return page.numbers;
    const numbers = new Int32Array(Math.max(PAGE, length));
    // Room is made before the page is there, so that it is not sent to the disk at once.
    grow(numbers.byteLength);
    pages.push({ numbers, length: numbers.length, offset: 0 });
    used = 0;
    return numbers;
  };
  const add = (list: Int32Array): number => {
    const numbers = room(list.length + 1);
    numbers[used] = list.length;
    numbers.set(list, used + 1);
    const place = (pages.length - 1) * PAGE + used;
    used += list.length + 1;
    return place;
  };
  const at = (place: number): Int32Array => {
    const page = pages[Math.floor(place / PAGE)]!;
    const start = place % PAGE;
    if (page.numbers !== undefined) return page.numbers.subarray(start + 1, start + 1 + page.numbers[start]!);
    // Most lists are short: one read brings the length and the numbers.
    const guess = new Int32Array(Math.min(SHORT, page.length - start));
    file!.read(guess, page.offset + 4 * start);
    const length = guess[0]!;
    if (length < guess.length) return guess.subarray(1, 1 + length);
    const whole = new Int32Array(length);
    file!.read(whole, page.offset + 4 * (start + 1));
    return whole;
  };
  const lists: ScratchLists = {
    add,
    at,
    addText: (text) => {
      const bytes = Buffer.from(text, 'utf8');
      const list = new Int32Array(1 + Math.ceil(bytes.length / 4));
      list[0] = bytes.length;
      new Uint8Array(list.buffer).set(bytes, 4);
      return add(list);
    },
    textAt: (place) => {
      const list = at(place);
      return Buffer.from(list.buffer, list.byteOffset + 4, list[0]!).toString('utf8');
    },
  };
  return { lists, holder };
}

/** Numbers that are read at once where the length of a list is not known. */
const SHORT = 160;
