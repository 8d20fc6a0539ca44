import type { Engine, Handle, Program } from '../engine/index.ts';
import { createBuilder, finishGraph, type Graph } from '../graph/index.ts';

/** Programs that were compiled, by what they depend on. */
export interface ProgramCache {
  readonly engine: Engine;
  readonly programs: Map<string, Program>;
}

/** The program of a key, compiled when it is first asked for. */
export function cached({ engine, programs }: ProgramCache, key: string, graph: () => Graph): Program {
  const known = programs.get(key);
  if (known !== undefined) return known;
  const program = engine.compile(graph());
  programs.set(key, program);
  return program;
}

type Handles = Record<string, Handle>;

/** Adds two records of gradients, name by name; both are released. */
export function sumInto(net: ProgramCache, kind: string, sum: Handles, part: Handles): Handles {
  const names = Object.keys(part);
  const key = `sum|${kind}|${names.map((name) => part[name]!.shape.join('x')).join(',')}`;
  const program = cached(net, key, () => {
    const g = createBuilder();
    const add = names.map((name, i) =>
      g.add(g.input(`a.${i}`, part[name]!.shape), g.input(`b.${i}`, part[name]!.shape)),
    );
    return finishGraph(g, Object.fromEntries(add.map((value, i) => [`y.${i}`, value])));
  });
  const inputs: Handles = {};
  for (const [i, name] of names.entries()) {
    inputs[`a.${i}`] = sum[name]!;
    inputs[`b.${i}`] = part[name]!;
  }
  const out = net.engine.run(program, inputs);
  net.engine.release(...Object.values(inputs));
  return Object.fromEntries(names.map((name, i) => [name, out[`y.${i}`]!]));
}
