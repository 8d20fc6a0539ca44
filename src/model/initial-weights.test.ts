import { expect, test } from 'vitest';
import { INITIAL_DEVIATION, initialWeight } from './initial-weights.ts';

const model = { layers: 8 };
const matrix = (name: string, seed = 0) => initialWeight(model, name, [200, 200], { seed });
const deviation = (values: Float32Array) => Math.sqrt(values.reduce((n, x) => n + x * x, 0) / values.length);

test('new matrices are as wide as they should be, those that add to the residual stream narrower', () => {
  expect(deviation(matrix('model.layers.0.self_attn.q_proj.weight'))).toBeCloseTo(INITIAL_DEVIATION, 3);
  for (const name of ['self_attn.o_proj', 'mlp.down_proj', 'attn.c_proj']) {
    expect(deviation(matrix(`model.layers.3.${name}.weight`))).toBeCloseTo(INITIAL_DEVIATION / 4, 3);
  }
});

test('norms begin with 1 and biases with 0', () => {
  expect(new Set(initialWeight(model, 'model.norm.weight', [8], { seed: 0 }))).toEqual(new Set([1]));
  expect(new Set(initialWeight(model, 'model.layers.0.self_attn.q_proj.bias', [8], { seed: 0 }))).toEqual(new Set([0]));
});

test('weights depend on the name and the seed', () => {
  const [one, same, name, seed] = [matrix('a.weight'), matrix('a.weight'), matrix('b.weight'), matrix('a.weight', 1)];
  expect(same).toEqual(one);
  expect(name).not.toEqual(one);
  expect(seed).not.toEqual(one);
});
