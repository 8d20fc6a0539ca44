/** What threads that look at rows hand to the one that looks at all of them: numbers and texts, read in the order in which they were written. */
export interface Notes {
  readonly numbers: Int32Array;
  readonly texts: readonly string[];
}

/** Writes notes. */
export interface NoteWriter {
  /** A whole number of 32 bits. */
  int(value: number): void;
  /** A hash of 53 bits. */
  hash(value: number): void;
  list(values: Int32Array): void;
  text(value: string): void;
  /** What was written since the last time. */
  take(): Notes;
}

/** Reads notes. */
export interface NoteReader {
  int(): number;
  hash(): number;
  /** A view, which holds until the notes are let go. */
  list(): Int32Array;
  text(): string;
}

/** Opens a writer. */
export function writeNotes(): NoteWriter {
  let numbers = new Int32Array(1 << 16);
  let used = 0;
  let texts: string[] = [];
  const reserve = (count: number) => {
    if (used + count <= numbers.length) return;
    const larger = new Int32Array(Math.max(numbers.length * 2, used + count));
    larger.set(numbers);
    numbers = larger;
  };
  return {
    int: (value) => {
      reserve(1);
      numbers[used++] = value;
    },
    hash: (value) => {
      reserve(2);
      numbers[used++] = Math.floor(value / 2 ** 32);
      numbers[used++] = value | 0;
    },
    list: (values) => {
      reserve(values.length + 1);
      numbers[used++] = values.length;
      numbers.set(values, used);
      used += values.length;
    },
    text: (value) => {
      texts.push(value);
    },
    take: () => {
      const notes = { numbers: numbers.slice(0, used), texts };
      used = 0;
      texts = [];
      return notes;
    },
  };
}

/** Reads notes from their beginning. */
export function readNotes({ numbers, texts }: Notes): NoteReader {
  let at = 0;
  let nextText = 0;
  return {
    int: () => numbers[at++]!,
    hash: () => {
      at += 2;
      return numbers[at - 2]! * 2 ** 32 + (numbers[at - 1]! >>> 0);
    },
    list: () => {
      const length = numbers[at]!;
      at += length + 1;
      return numbers.subarray(at - length, at);
    },
    text: () => texts[nextText++]!,
  };
}

/** A list of whole numbers from 0 to 2^32 that takes four bytes for each. */
export interface Column {
  push(value: number): void;
  at(index: number): number;
  length(): number;
}

/** Opens an empty column. */
export function openColumn(): Column {
  let values = new Uint32Array(1024);
  let used = 0;
  return {
    push: (value) => {
      if (used === values.length) {
        const larger = new Uint32Array(Math.ceil(values.length * 1.5));
        larger.set(values);
        values = larger;
      }
      values[used++] = value;
    },
    at: (index) => values[index]!,
    length: () => used,
  };
}

/** Numbers from 0 as a set that takes a bit for each up to the largest. */
export function openBits(): { add(value: number): void; has(value: number): boolean } {
  let bits = new Uint8Array(1024);
  return {
    add: (value) => {
      if (value >>> 3 >= bits.length) {
        const larger = new Uint8Array(Math.max(bits.length * 2, (value >>> 3) + 1));
        larger.set(bits);
        bits = larger;
      }
      bits[value >>> 3]! |= 1 << (value & 7);
    },
    has: (value) => ((bits[value >>> 3] ?? 0) & (1 << (value & 7))) !== 0,
  };
}
