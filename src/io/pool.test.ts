import { afterEach, describe, expect, it } from 'vitest';
import { openPool, type Pool } from './pool.ts';

const module = new URL('../../test/support/doubler.ts', import.meta.url).href;
let pool: Pool<number, { readonly doubled: Float64Array; readonly by: number }> | undefined;
afterEach(() => pool?.close());

describe('a pool of threads', () => {
  it('gives each task to a thread and hands its result over', async () => {
    pool = openPool({ module, name: 'openDoubler', init: 2 }, 3);
    const results = await Promise.all([1, 2, 3, 4, 5].map((n) => pool!.run(n)));
    expect(results.map(({ doubled }) => doubled[0])).toEqual([2, 4, 6, 8, 10]);
    const each = await pool.runOnEach(1);
    expect(each).toHaveLength(3);
  });

  it('passes errors on, those of the catalogue as such', async () => {
    pool = openPool({ module, name: 'openDoubler', init: 2 }, 1);
    await expect(pool.run(-1)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', details: { file: 'x' } });
    await expect(pool.run(-2)).rejects.toThrow('internal: a thread failed: Error: below');
    await expect(pool.run(4)).resolves.toMatchObject({ by: 2 });
  });

  it('says so when it was closed', async () => {
    pool = openPool({ module, name: 'openDoubler', init: 2 }, 1);
    await pool.close();
    await expect(pool.run(1)).rejects.toThrow('internal: a thread was closed');
  });
});
