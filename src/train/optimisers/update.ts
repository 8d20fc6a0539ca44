import type { Engine, Handle, Program } from '../../engine/index.ts';
import { createBuilder, finishGraph, type Graph, type Value } from '../../graph/index.ts';
import { fillUniform } from '../../math/random.ts';
import { f32, type Shape, sizeOf } from '../../tensor/tensor.ts';
import { BLOCK } from './blockwise.ts';
import { type Group, groupOf } from './groups.ts';
import type { UpdateRule } from './rule.ts';
import { type OptimizerConstants, ruleOf } from './table.ts';

type Handles = Readonly<Record<string, Handle>>;

/** All that an optimiser is told before a run. */
export interface OptimizerOptions {
  readonly constants: OptimizerConstants;
  readonly weightDecay: number;
  /** LoRA+: rate of B relative to A's; 1 treats them alike. */
  readonly loraPlusRatio: number;
  /** Of the dither of 8-bit states. */
  readonly seed: number;
}

/** State of a group of parameters: by the parameter's name, then by that of the state. */
export type GroupState = Readonly<Record<string, Handles>>;

/** The state that every run begins with: zeros. */
export function initialGroupState(engine: Engine, parameters: Handles, { constants }: OptimizerOptions): GroupState {
  const rule = ruleOf(constants);
  const zeros = (shape: Shape): Handles =>
    Object.fromEntries(
      Object.entries(rule.state(shape)).map(([slot, type]) => [slot, engine.allocate(type.shape, type.dtype)]),
    );
  return Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, zeros(shape)]));
}

/** Bytes of state of parameters of these shapes. */
export function optimizerBytes(shapes: Iterable<Shape>, constants: OptimizerConstants): number {
  const rule = ruleOf(constants);
  let bytes = 0;
  for (const shape of shapes) {
    for (const type of Object.values(rule.state(shape))) bytes += sizeOf(type.shape) * (type.dtype === 'u8' ? 1 : 4);
  }
  return bytes;
}

/** The numbers of one update. */
export interface UpdateNumbers {
  /** Counts from 1. */
  readonly step: number;
  readonly lr: number;
  /** Gradients are multiplied by it: clipping and the division by the step's tokens. */
  readonly gradScale: number;
}

/** Updates a group of parameters. Gradients, old parameters and old states are released. */
export function updateGroup(
  engine: Engine,
  group: { readonly parameters: Handles; readonly grads: Handles; readonly state: GroupState },
  options: OptimizerOptions,
  { step, lr, gradScale }: UpdateNumbers,
): { readonly parameters: Record<string, Handle>; readonly state: GroupState } {
  const members = membersOf(group.parameters, options);
  const rule = ruleOf(options.constants);
  const program: Program = engine.compile(updateGraph(members, rule));
  const scalar = (value: number) => engine.upload(f32([value], [1]));
  const inputs: Record<string, Handle> = { gradScale: scalar(gradScale) };
  for (const [
    i,
    {
      name,
      group: { rate },
    },
  ] of members.entries()) {
    for (const [key, value] of Object.entries(
      rule.scalars({ step, lr: lr * rate, weightDecay: options.weightDecay }),
    )) {
      const input = `${key}.${rate}`;
      if (program.inputs[input] !== undefined) inputs[input] ??= scalar(value);
    }
    inputs[`p.${i}`] = group.parameters[name]!;
    inputs[`g.${i}`] = group.grads[name]!;
    for (const [slot, handle] of Object.entries(group.state[name]!)) inputs[`s.${slot}.${i}`] = handle;
  }
  if (program.inputs.dither !== undefined) inputs.dither = engine.upload(f32(dither(options.seed, step), [1, BLOCK]));
  const out = engine.run(program, inputs);
  engine.release(...Object.values(inputs));
  const next = members.map(({ name, shape }, i) => {
    const slots = Object.keys(rule.state(shape)).map((slot) => [slot, out[`next.${slot}.${i}`]!] as const);
    return { name, parameter: out[`next.p.${i}`]!, state: Object.fromEntries(slots) };
  });
  return {
    parameters: Object.fromEntries(next.map(({ name, parameter }) => [name, parameter])),
    state: Object.fromEntries(next.map(({ name, state }) => [name, state])),
  };
}

interface Member {
  readonly name: string;
  readonly shape: Shape;
  readonly group: Group;
}

function membersOf(parameters: Handles, options: OptimizerOptions): Member[] {
  return Object.entries(parameters).map(([name, { shape }]) => ({
    name,
    shape,
    group: groupOf(name, shape.length, options),
  }));
}

/** A step for all parameters of a group. It depends on their shapes, not on their names, so that equal layers share a program. */
function updateGraph(members: readonly Member[], rule: UpdateRule): Graph {
  const g = createBuilder();
  const outputs: Record<string, Value> = {};
  for (const [i, { shape, group }] of members.entries()) {
    const next = rule.update(g, {
      parameter: g.input(`p.${i}`, shape),
      grad: g.mul(g.input(`g.${i}`, shape), g.input('gradScale', [1])),
      state: Object.fromEntries(
        Object.entries(rule.state(shape)).map(([slot, type]) => [
          slot,
          g.input(`s.${slot}.${i}`, type.shape, type.dtype),
        ]),
      ),
      decays: group.decays,
      scalar: (name) => g.input(`${name}.${group.rate}`, [1]),
      dither: () => g.input('dither', [1, BLOCK]),
    });
    outputs[`next.p.${i}`] = next.parameter;
    for (const [slot, value] of Object.entries(next.state)) outputs[`next.${slot}.${i}`] = value;
  }
  return finishGraph(g, outputs);
}

/** Never 1, nor so close to it that 128 and it make 129 in float32. */
function dither(seed: number, step: number): Float32Array {
  return fillUniform(new Float32Array(BLOCK), 0, 1 - 2 ** -16, { seed, purpose: 'dither', a: step });
}
