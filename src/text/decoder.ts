import { isRecord } from '../io/json-checks.ts';
import { arrayOf, stringOf } from './json.ts';

/** One step of a decoder: pieces of text in, pieces of text out. */
type Step = (pieces: readonly string[]) => string[];

/**
 * Builds the decoder that a tokenizer.json describes: tokens to text.
 *
 * Written here because that of the library drops byte order marks, replaces broken bytes by fewer characters than transformers does, and looks
 * added tokens up one by one.
 *
 * @throws Error naming the kind if there is no such decoder
 */
export function createDecoder(config: unknown): (tokens: readonly string[]) => string {
  // Without a decoder, transformers puts spaces between tokens.
  if (config === null || config === undefined) return (tokens) => tokens.join(' ');
  const step = createStep(config);
  return (tokens) => step(tokens).join('');
}

function createStep(config: unknown): Step {
  if (!isRecord(config)) throw new Error('its decoder is not an object');
  switch (config.type) {
    case 'Sequence': {
      const steps = arrayOf(config.decoders).map(createStep);
      return (pieces) => steps.reduce<string[]>((all, step) => step(all), [...pieces]);
    }
    case 'ByteLevel':
      return byteLevel();
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (pieces) => [pieces.join('')];
    case 'Replace':
      return replaceStep(config);
    case 'Strip':
      return stripStep(config);
    case 'Metaspace':
      return metaspaceStep(config);
    default:
      throw new Error(`its decoder ${JSON.stringify(config.type)} is not known`);
  }
}

/** The printable characters that stand for bytes in byte-level BPE (GPT-2's table), by byte. */
export function byteCharacters(): readonly string[] {
  const shown = (b: number) => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(shown(b) ? b : next++));
}

function byteLevel(): Step {
  const bytes = new Map(byteCharacters().map((c, b) => [c, b]));
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const encoder = new TextEncoder();
  return (pieces) => {
    const out: number[] = [];
    for (const piece of pieces) {
      const from = out.length;
      for (const character of piece) {
        const byte = bytes.get(character);
        if (byte === undefined) {
          // A token outside the table, such as an added one with a space in it, stands for itself.
          out.length = from;
          out.push(...encoder.encode(piece));
          break;
        }
        out.push(byte);
      }
    }
    return [decoder.decode(Uint8Array.from(out))];
  };
}

/** Runs of <0xNN> become text; a run that is no UTF-8 becomes one replacement character for each byte. */
function byteFallback(pieces: readonly string[]): string[] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
  const out: string[] = [];
  let run: number[] = [];
  const flush = () => {
    if (run.length === 0) return;
    try {
      out.push(decoder.decode(Uint8Array.from(run)));
    } catch {
      out.push('\ufffd'.repeat(run.length));
    }
    run = [];
  };
  for (const piece of pieces) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece);
    if (byte !== null) run.push(Number.parseInt(byte[1]!, 16));
    else {
      flush();
      out.push(piece);
    }
  }
  flush();
  return out;
}

function replaceStep(config: Readonly<Record<string, unknown>>): Step {
  const pattern = isRecord(config.pattern) ? stringOf(config.pattern.String) : undefined;
  if (pattern === undefined) throw new Error('its decoder replaces something else than a string');
  const content = stringOf(config.content) ?? '';
  return (pieces) => pieces.map((piece) => piece.replaceAll(pattern, () => content));
}

function stripStep(config: Readonly<Record<string, unknown>>): Step {
  const content = stringOf(config.content) ?? ' ';
  const start = Number(config.start ?? 0);
  const stop = Number(config.stop ?? 0);
  return (pieces) =>
    pieces.map((piece) => {
      let from = 0;
      while (from < start && piece[from] === content) from++;
      let to = piece.length;
      while (piece.length - to < stop && to > from && piece[to - 1] === content) to--;
      return piece.slice(from, to);
    });
}

function metaspaceStep(config: Readonly<Record<string, unknown>>): Step {
  const replacement = stringOf(config.replacement) ?? '\u2581';
  const prefixed =
    config.prepend_scheme === undefined ? config.add_prefix_space !== false : config.prepend_scheme !== 'never';
  return (pieces) =>
    pieces.map((piece, i) => {
      const text = piece.replaceAll(replacement, ' ');
      return i === 0 && prefixed && text.startsWith(' ') ? text.slice(1) : text;
    });
}
