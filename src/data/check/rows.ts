import { TunesmithError } from '../../errors/index.ts';
import type { Role } from '../../text/messages.ts';
import type { ColumnMap } from '../columns.ts';
import { openFiles } from '../open-files.ts';
import type { RowShape } from '../shapes.ts';
import { type ReadRow, readCheckRow } from './row.ts';

/** How the rows of files are read. */
export interface RowsOptions {
  readonly roles?: Readonly<Record<string, Role>> | undefined;
  readonly map?: ColumnMap | undefined;
  readonly shape?: RowShape | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The rows of files as the checks see them, where nobody is told what is wrong with them.
 *
 * @param broken what happens to a record that cannot be read
 * @throws FILE_NOT_FOUND and all that reading throws
 */
export async function* readCheckRows(
  files: readonly string[],
  { roles, map, shape, signal }: RowsOptions,
  broken: 'error' | 'skip',
): AsyncGenerator<ReadRow> {
  const opened = openFiles(files, { map });
  let count = 0;
  for (const path of opened.paths) {
    const { records, roles: own } = opened.open(path);
    const options = { format: 'chat', shape, roles: { ...own, ...roles } } as const;
    for await (const record of records) {
      if ((count++ & 1023) === 0) signal?.throwIfAborted();
      if ('code' in record) {
        if (broken === 'skip') continue;
        throw new TunesmithError(record.code, { message: record.message, file: path, line: record.line });
      }
      yield readCheckRow(record.value, { file: path, line: record.line }, options, () => undefined);
    }
  }
}
