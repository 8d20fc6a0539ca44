import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { hasLlamaCpp, openLlamaCpp } from '../../test/support/llama-cpp.ts';
import { FAMILIES, writeTinyFamily } from '../../test/support/tiny-families.ts';
import { openOrt } from '../engine/index.ts';
import { openModelSource } from '../model/source.ts';
import { openText } from '../text/index.ts';
import { storedLogits } from './check.ts';
import { compareLogits } from './compare.ts';
import { answered, goldenPrompts } from './golden.ts';

const folder = temporaryFolder();

async function exported(model: string, to: string, out: string) {
  const { exit, stderr } = await cli(['export', model, '--to', to, '--quant', 'f32', '--out', out, '--threads', 1]);
  expect(exit, stderr).toBe(0);
}

describe.each(FAMILIES)('%s', (family) => {
  // llama.cpp expects tokens of models that have phi3 in their names.
  const model = path.join(folder, family.replace('phi3', 'phi'));

  test('goes out as safetensors and as GGUF, and reads back', async () => {
    writeTinyFamily(model, family);
    await exported(model, 'safetensors', `${model}-hf`);
    await exported(model, 'gguf', `${model}-gguf`);
  }, 60_000);

  test.skipIf(!hasLlamaCpp())(
    'gives in llama.cpp what it gives here',
    async () => {
      const [gguf] = readdirSync(`${model}-gguf`).filter((name) => name.endsWith('.gguf'));
      const llama = await openLlamaCpp(path.join(`${model}-gguf`, gguf ?? ''), folder);
      const engine = openOrt({ device: 'cpu', threads: 1, optimize: 'on' });
      try {
        const source = openModelSource(model);
        const tools = openText(source.text!, { now: new Date() });
        const [ids = []] = goldenPrompts(tools, undefined, source.config).ids;
        const example = answered(ids.slice(0, 1), ids.slice(1, 32));
        const [ours] = await storedLogits(engine, source, undefined, [example]);
        const theirs = (await llama.probabilities([...example.ids])).subarray(0, ours!.length).map(Math.log);
        expect(compareLogits([ours!], [theirs], source.config.vocabSize).meanKl).toBeLessThan(1e-5);
      } finally {
        llama.close();
        await engine.close();
      }
    },
    60_000,
  );
});
