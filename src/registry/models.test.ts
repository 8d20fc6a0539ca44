import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveModel } from './models.ts';

let root: string;
const places = () => ({ home: join(root, 'home'), runs: join(root, 'runs') });
const put = (path: string, text = '{}') => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
  return join(root, path);
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tunesmith-models-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('resolveModel', () => {
  it('knows a name of the catalogue and the hub id of the same model, before and after it is pulled', () => {
    const missing = { kind: 'missing', id: 'smollm2-135m-instruct' };
    expect(resolveModel('smollm2-135m-instruct', places())).toMatchObject(missing);
    expect(resolveModel('HuggingFaceTB/SmolLM2-135M-Instruct', places())).toMatchObject(missing);
    put('home/models/smollm2-135m-instruct/m.gguf', 'GGUF');
    const files = [{ name: 'm.gguf', bytes: 4, sha256: '' }];
    const record = { id: 'smollm2-135m-instruct', source: 'x', entry: 'm.gguf', files };
    put('home/models/smollm2-135m-instruct/source.json', JSON.stringify(record));
    expect(resolveModel('smollm2-135m-instruct', places())).toEqual({
      kind: 'path',
      path: join(root, 'home/models/smollm2-135m-instruct/m.gguf'),
      id: 'smollm2-135m-instruct',
      hubId: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    });
  });

  it('takes any hub id, a .gguf file, a model folder and a run', () => {
    expect(resolveModel('owner/name', places())).toMatchObject({ kind: 'missing', sources: [{ repo: 'owner/name' }] });
    const gguf = put('a.gguf');
    expect(resolveModel(gguf, places())).toMatchObject({ kind: 'path', path: gguf, id: 'a.gguf' });
    put('hf/config.json');
    expect(resolveModel(join(root, 'hf'), places())).toMatchObject({ kind: 'path', path: join(root, 'hf') });
    put('runs/one/config.json');
    put('runs/one/events.jsonl', '');
    expect(resolveModel('one', places())).toMatchObject({ kind: 'run', run: { name: 'one' } });
    expect(resolveModel('@last', places())).toMatchObject({ kind: 'run', run: { name: 'one' } });
  });

  it('says what is wrong with a name that is none', () => {
    expect(() => resolveModel('smollm2-135m-instuct', places())).toThrow(/did you mean smollm2-135m-instruct/);
    expect(() => resolveModel('gone.gguf', places())).toThrow(/FILE_NOT_FOUND gone\.gguf/);
    expect(() => resolveModel('@last', places())).toThrow(/RUN_NOT_FOUND/);
    put('peft/adapter_config.json');
    expect(() => resolveModel(join(root, 'peft'), places())).toThrow(/--adapter/);
    mkdirSync(join(root, 'empty'));
    expect(() => resolveModel(join(root, 'empty'), places())).toThrow(/MODEL_NOT_FOUND/);
  });
});
