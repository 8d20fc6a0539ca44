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
      cache: 'own',
    });
  });

  it('takes a revision and a file of a hub repository', () => {
    expect(resolveModel('owner/name@v1:q4.gguf', places())).toMatchObject({
      kind: 'missing',
      id: 'owner/name@v1:q4.gguf',
      hubId: 'owner/name',
      sources: [{ kind: 'hub', repo: 'owner/name', revision: 'v1', file: 'q4.gguf' }],
    });
  });

  it("finds what Hugging Face's own tools have downloaded, once it is whole", () => {
    const hubCache = join(root, 'hub');
    const commit = 'c'.repeat(40);
    const snapshot = `hub/models--owner--name/snapshots/${commit}`;
    const find = (name: string) => resolveModel(name, { ...places(), hubCache });
    const found = { kind: 'path', path: join(root, snapshot), id: 'owner/name', hubId: 'owner/name', cache: 'hub' };
    put('hub/models--owner--name/refs/main', commit);
    put(`${snapshot}/config.json`);
    put(`${snapshot}/tokenizer.json`);
    put(
      `${snapshot}/model.safetensors.index.json`,
      JSON.stringify({ weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } }),
    );
    put(`${snapshot}/model-00001-of-00002.safetensors`);
    expect(find('owner/name')).toMatchObject({ kind: 'missing' });
    put(`${snapshot}/model-00002-of-00002.safetensors`);
    expect(find('owner/name')).toEqual(found);
    expect(find(`owner/name@${commit}`)).toMatchObject({ kind: 'path', path: found.path });
    expect(find('owner/name@v1')).toMatchObject({ kind: 'missing' });
    const gguf = put(`${snapshot}/sub/m.gguf`);
    expect(find('owner/name:sub/m.gguf')).toMatchObject({ kind: 'path', path: gguf, hubId: 'owner/name' });
    expect(find('owner/name:other.gguf')).toMatchObject({ kind: 'missing' });
  });

  it.each([
    ['smolm2-360', 'smollm2-360m-instruct'],
    ['Llama-3.2-1B', 'llama-3.2-1b-instruct'],
    ['smollm2', 'smollm2-135m-instruct or smollm2-360m-instruct or smollm2-1.7b-instruct'],
  ])('offers for %s what it may mean', (name, meant) => {
    expect(() => resolveModel(name, places())).toThrow(`did you mean ${meant}?`);
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
