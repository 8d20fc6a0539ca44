import type { Engine, Handle, Program } from '../../engine/index.ts';
import { createBuilder, finishGraph, type Graph } from '../../graph/index.ts';
import type { Shape } from '../../tensor/tensor.ts';

/** Sum of squares of each gradient of a group, in the order of its names. */
export function squares(engine: Engine, grads: Readonly<Record<string, Handle>>): Handle {
  const shapes = Object.values(grads).map(({ shape }) => shape);
  const program: Program = engine.compile(squaresGraph(shapes));
  const { sums } = engine.run(program, Object.fromEntries(Object.values(grads).map((handle, i) => [`g.${i}`, handle])));
  return sums!;
}

function squaresGraph(shapes: readonly Shape[]): Graph {
  const g = createBuilder();
  const sums = shapes.map((shape, i) => {
    const grad = g.input(`g.${i}`, shape);
    const axes = shape.map((_, axis) => axis);
    return g.reshape(g.reduceSum(g.mul(grad, grad), axes), [1]);
  });
  return finishGraph(g, { sums: g.concat(sums, 0) });
}
