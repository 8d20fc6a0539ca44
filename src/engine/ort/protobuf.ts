const encoder = new TextEncoder();

/** Writes protobuf messages (the wire format's varint, 32-bit and length-delimited kinds). */
export interface ProtoWriter {
  int(field: number, value: number): ProtoWriter;
  string(field: number, value: string): ProtoWriter;
  bytes(field: number, value: Uint8Array): ProtoWriter;
  float(field: number, value: number): ProtoWriter;
  message(field: number, value: ProtoWriter): ProtoWriter;
  /** Begins a field of so many bytes, which the caller writes after this. */
  begin(field: number, length: number): ProtoWriter;
  /** Bytes so far. */
  length(): number;
  finish(): Uint8Array;
}

/** An empty message. */
export function protoWriter(): ProtoWriter {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const raw = (chunk: Uint8Array) => {
    chunks.push(chunk);
    length += chunk.length;
    return w;
  };
  const varint = (value: number) => {
    let rest = BigInt.asUintN(64, BigInt(value));
    const out: number[] = [];
    do {
      const low = Number(rest & 127n);
      rest >>= 7n;
      out.push(rest === 0n ? low : low | 128);
    } while (rest !== 0n);
    return raw(Uint8Array.from(out));
  };
  const tag = (field: number, wire: number) => varint(field * 8 + wire);
  const w: ProtoWriter = {
    int: (field, value) => {
      tag(field, 0);
      return varint(value);
    },
    string: (field, value) => w.bytes(field, encoder.encode(value)),
    bytes: (field, value) => {
      w.begin(field, value.length);
      return raw(value);
    },
    begin: (field, bytes) => {
      tag(field, 2);
      return varint(bytes);
    },
    length: () => length,
    float: (field, value) => {
      tag(field, 5);
      return raw(new Uint8Array(Float32Array.of(value).buffer));
    },
    message: (field, value) => w.bytes(field, value.finish()),
    finish: () => {
      const out = new Uint8Array(length);
      let at = 0;
      for (const chunk of chunks) {
        out.set(chunk, at);
        at += chunk.length;
      }
      return out;
    },
  };
  return w;
}
