// AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101), in the order of operations of torch.optim.AdamW
import type { Engine, Handle, Program } from '../engine/index.ts';
import { type Builder, createBuilder, finishGraph, type Graph, type Value } from '../graph/index.ts';
import { f32, type Shape, sizeOf } from '../tensor/tensor.ts';

/** Constants of the optimiser. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

type Handles = Record<string, Handle>;

/** First and second moments of a group of parameters, by name. */
export interface Moments {
  readonly m: Handles;
  readonly v: Handles;
}

/** Moments of zero. */
export function initialMoments(engine: Engine, parameters: Handles): Moments {
  const zeros = () =>
    Object.fromEntries(
      Object.entries(parameters).map(([name, { shape }]) => [
        name,
        engine.upload(f32(new Float32Array(sizeOf(shape)), shape)),
      ]),
    );
  return { m: zeros(), v: zeros() };
}

/** The numbers of one update. */
export interface AdamWStep {
  /** Counts from 1. */
  readonly step: number;
  readonly lr: number;
  /** Gradients are multiplied by it: clipping and the division by the step's tokens. */
  readonly gradScale: number;
}

/** Updates a group of parameters. Gradients, old parameters and old moments are released. */
export function adamW(
  engine: Engine,
  parameters: Handles,
  grads: Handles,
  moments: Moments,
  options: AdamWOptions,
  { step, lr, gradScale }: AdamWStep,
): { readonly parameters: Handles; readonly moments: Moments } {
  const names = Object.keys(parameters);
  const program = engine.compile(
    updateGraph(
      names.map((name) => parameters[name]!.shape),
      options,
    ),
  );
  const scalar = (value: number) => engine.upload(f32([value], [1]));
  const inputs: Handles = {
    gradScale: scalar(gradScale),
    stepSize: scalar(lr / (1 - options.beta1 ** step)),
    rootCorrection: scalar(1 / Math.sqrt(1 - options.beta2 ** step)),
    keep: scalar(1 - lr * options.weightDecay),
  };
  for (const [i, name] of names.entries()) {
    inputs[`p.${i}`] = parameters[name]!;
    inputs[`g.${i}`] = grads[name]!;
    inputs[`m.${i}`] = moments.m[name]!;
    inputs[`v.${i}`] = moments.v[name]!;
  }
  const out = engine.run(program, inputs);
  engine.release(...Object.values(inputs));
  const named = (letter: string) => Object.fromEntries(names.map((name, i) => [name, out[`next.${letter}.${i}`]!]));
  return { parameters: named('p'), moments: { m: named('m'), v: named('v') } };
}

function updateGraph(shapes: readonly Shape[], { beta1, beta2, eps, weightDecay }: AdamWOptions): Graph {
  const g = createBuilder();
  const scalar = (name: string) => g.input(name, [1]);
  const outputs: Record<string, Value> = {};
  for (const [i, shape] of shapes.entries()) {
    const [p, grad, m, v] = ['p', 'g', 'm', 'v'].map((letter) => g.input(`${letter}.${i}`, shape)) as [
      Value,
      Value,
      Value,
      Value,
    ];
    const scaled = g.mul(grad, scalar('gradScale'));
    const m2 = mix(g, m, scaled, beta1);
    const v2 = mix(g, v, g.mul(scaled, scaled), beta2);
    const denominator = g.add(g.mul(g.sqrt(v2), scalar('rootCorrection')), g.scalar(eps));
    const decayed = weightDecay === 0 ? p : g.mul(p, scalar('keep'));
    outputs[`next.p.${i}`] = g.sub(decayed, g.mul(g.div(m2, denominator), scalar('stepSize')));
    outputs[`next.m.${i}`] = m2;
    outputs[`next.v.${i}`] = v2;
  }
  return finishGraph(g, outputs);
}

function mix(g: Builder, old: Value, fresh: Value, beta: number): Value {
  return g.add(g.mul(old, g.scalar(beta)), g.mul(fresh, g.scalar(1 - beta)));
}

/** Sum of squares of each gradient of a group, in the order of its names. */
export function squares(engine: Engine, grads: Handles): Handle {
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
