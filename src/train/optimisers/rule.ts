import type { Builder, TensorType, Value } from '../../graph/index.ts';
import type { Shape } from '../../tensor/tensor.ts';

/** One tensor of an optimiser's state; it begins with zeros. */
export type StateType = TensorType & { readonly dtype: 'f32' | 'u8' };

/** What the update of one parameter is built from. */
export interface UpdateInputs {
  readonly parameter: Value;
  /** Mean over the supervised tokens of the step, clipped. */
  readonly grad: Value;
  /** State before the step, by the names that {@link UpdateRule.state} gives. */
  readonly state: Readonly<Record<string, Value>>;
  /** Whether weight decay applies to this parameter, and is not 0. */
  readonly decays: boolean;
  /** One of the numbers of {@link UpdateRule.scalars}, [1]. */
  scalar(name: string): Value;
  /** Numbers from 0 to 1 that differ from step to step, [1, 256]; only for rules that dither. */
  dither(): Value;
}

/** What a step's numbers follow from. */
export interface StepNumbers {
  /** Counts from 1. */
  readonly step: number;
  readonly lr: number;
  readonly weightDecay: number;
}

/** An optimiser: its state, and one step as a graph, so that parameters and state never leave the engine. */
export interface UpdateRule {
  /** The state of a parameter of this shape, by name. */
  state(shape: Shape): Readonly<Record<string, StateType>>;
  /** Numbers that change from step to step and are therefore inputs of the graph. */
  scalars(numbers: StepNumbers): Readonly<Record<string, number>>;
  /** Builds one step of one parameter. */
  update(
    g: Builder,
    inputs: UpdateInputs,
  ): { readonly parameter: Value; readonly state: Readonly<Record<string, Value>> };
}

/** beta * old + (1 - beta) * fresh. */
export function mix(g: Builder, old: Value, fresh: Value, beta: number): Value {
  return g.add(g.mul(old, g.scalar(beta)), g.mul(fresh, g.scalar(1 - beta)));
}

/** A float32 tensor of state. */
export function f32State(shape: Shape): StateType {
  return { dtype: 'f32', shape };
}
