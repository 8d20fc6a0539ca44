import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { type BasicType, fileWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import { partialName } from './atomic.ts';
import { writeError } from './fs-errors.ts';

/** Types of columns that are written; lists and objects are JSON, which readers of .parquet take apart. */
export type ParquetType = Extract<BasicType, 'STRING' | 'DOUBLE' | 'INT32' | 'BOOLEAN' | 'JSON'>;

/** A column of a group of rows; null where a row has no value. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: ParquetType;
  readonly data: readonly unknown[];
}

/** A .parquet file that is written a group of rows at a time, and is there only when it is whole. */
export interface ParquetFileWriter {
  /** Each group has the columns of the first. @throws DISK_FULL, FILE_WRITE_FAILED */
  write(columns: readonly ParquetColumn[]): void;
  /** Puts the file in its place. @throws DISK_FULL, FILE_WRITE_FAILED */
  commit(): void;
  /** Takes away what was written; harmless after commit. */
  discard(): void;
}

/** Opens a file beside its place. @throws FILE_WRITE_FAILED, DISK_FULL */
export function openParquetFile(path: string): ParquetFileWriter {
  const partial = partialName(path);
  const guarded = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      throw writeError(error, path);
    }
  };
  const writer = guarded(() => fileWriter(partial));
  let parquet: ParquetWriter | undefined;
  return {
    write: (columns) =>
      guarded(() => {
        const columnData = columns.map(({ name, type, data }) => ({ name, type, nullable: true, data: [...data] }));
        parquet ??= new ParquetWriter({ writer, schema: schemaFromColumnData({ columnData }), createdBy: 'tunesmith' });
        void parquet.write({ columnData });
      }),
    commit: () =>
      guarded(() => {
        void parquet?.finish();
        const descriptor = openSync(partial, 'r+');
        fsyncSync(descriptor);
        closeSync(descriptor);
        renameSync(partial, path);
      }),
    discard: () => rmSync(partial, { force: true }),
  };
}
