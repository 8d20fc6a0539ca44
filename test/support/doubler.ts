import { TunesmithError } from '../../src/errors/index.ts';

/** What the threads of pool.test.ts do. */
export function openDoubler(by: number): (task: number) => { readonly doubled: Float64Array; readonly by: number } {
  return (task) => {
    if (task === -1) throw new TunesmithError('FILE_NOT_FOUND', { message: 'is not there.', file: 'x' });
    if (task < 0) throw new Error('below');
    return { doubled: Float64Array.of(task * by), by };
  };
}
