import type { StoredType } from './stored.ts';

/** Names of the scalar types of GGUF metadata, by their number in the file. */
export const GGUF_SCALARS = {
  0: 'u8',
  1: 'i8',
  2: 'u16',
  3: 'i16',
  4: 'u32',
  5: 'i32',
  6: 'f32',
  7: 'bool',
  8: 'string',
  10: 'u64',
  11: 'i64',
  12: 'f64',
} as const;

/** A scalar type of GGUF metadata. */
export type GgufScalarType = (typeof GGUF_SCALARS)[keyof typeof GGUF_SCALARS];
/** A type of GGUF metadata: a scalar, or an array of scalars of one type; nested arrays are read but not written. */
export type GgufValueType = GgufScalarType | `${GgufScalarType}[]` | 'array[]';

/** The number of arrays in the file. */
export const GGUF_ARRAY = 9;

/** Bytes of a metadata value; for strings the least that one takes. */
export const GGUF_SCALAR_BYTES: Readonly<Record<GgufScalarType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** A metadata value. 64-bit integers are numbers where they are exact, else bigints. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** The block types that we decode, by ggml's number. */
export const GGML_TYPES: Readonly<Record<number, StoredType>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  20: 'IQ4_NL',
  23: 'IQ4_XS',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  30: 'BF16',
};

/** Names of the types that we do not decode, for messages. */
export const GGML_OTHER_TYPES: Readonly<Record<number, string>> = {
  4: 'Q4_2 (retired)',
  5: 'Q4_3 (retired)',
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  24: 'I8',
  25: 'I16',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

/** Where nothing else is said, tensors start at multiples of this many bytes. */
export const GGUF_ALIGNMENT = 32;
