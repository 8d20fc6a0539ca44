export type { Engine, EngineStats, Handle, Handles, Program, StoredSource, UploadSource } from './engine.ts';
export { POOL_BYTES, SESSION_CAP } from './host.ts';
export type { OrtOptions } from './ort/driver.ts';
export { openOrt, openOrtHere } from './ort/open.ts';
export { evaluate } from './reference/evaluate.ts';
export { openReference } from './reference/open.ts';
