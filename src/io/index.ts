export { type AtRest, readAtRest, restBytes, rowsAtRest, widenRows } from './at-rest.ts';
export {
  createFolderAtomic,
  makeFolder,
  recoverFolder,
  remove,
  removePartials,
  writeAtomic,
  writeFolderAtomic,
} from './atomic.ts';
export { BLOCKS, storedBytes } from './blocks.ts';
export { dequantize } from './dequantize.ts';
export {
  type Appender,
  decodeText,
  fileExists,
  fileSize,
  folderExists,
  freeDiskBytes,
  listFolder,
  openAppender,
  readBytes,
  readJson,
  readText,
  requireFolder,
  sha256,
  sha256File,
} from './files.ts';
export { type GgufFile, readGguf } from './gguf.ts';
export type { GgufScalarType, GgufValue, GgufValueType } from './gguf-format.ts';
export { type GgufField, type GgufToWrite, writeGguf } from './gguf-write.ts';
export { floatsToBytes } from './half.ts';
export { type LockHolder, lockHolder, takeLock } from './lock.ts';
export { readStored, readStoredRaw, readStoredRows } from './read-stored.ts';
export type { Rounding } from './rounding.ts';
export {
  fetchedPieces,
  openSafetensorsFolder,
  readSafetensorsHeader,
  SAFETENSORS_DTYPES,
  type SafetensorsDtype,
  type SafetensorsFile,
  safetensorsSha256,
  writeSafetensors,
} from './safetensors.ts';
export { type ChangedRows, type StoredTensor, type StoredType, withRows } from './stored.ts';
export type { TensorToFetch, TensorToWrite } from './tensor-to-write.ts';
export { openTensorboard, type TensorboardOptions, type TensorboardWriter } from './tensorboard.ts';
export { writeStreamed } from './write-streamed.ts';
