import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, evaluate, openOrt, openOrtHere, openReference } from '../../src/engine/index.ts';
import {
  backward,
  createBuilder,
  finishGraph,
  type Graph,
  OPS,
  type OpName,
  segmentPrograms,
} from '../../src/graph/index.ts';
import { findVulkan } from '../support/webgpu.ts';
import { OP_CASES, type OpCase } from './cases.ts';
import { ATTENTION_CASES, LAYER_CASES, type SegmentCase } from './layers.ts';
import { GRADIENT, LAYER, outOfBounds, type Tolerance, toleranceOf } from './tolerance.ts';
import { exactly, inputsOf, real, type TestInputs, toHost } from './values.ts';

interface Candidate {
  readonly name: string;
  readonly device: 'cpu' | 'webgpu';
  /** Why the suite cannot run here. */
  readonly missing?: string;
  open(): Promise<Engine>;
}

const vulkan = findVulkan();

/** WebGPU computes in a process of its own, because the loader's library path must stand before a process starts. */
const WEBGPU: Candidate = {
  name: 'ort on WebGPU',
  device: 'webgpu',
  ...('missing' in vulkan ? { missing: vulkan.missing } : {}),
  async open() {
    Object.assign(process.env, 'env' in vulkan ? vulkan.env : {});
    return openOrt({ device: 'webgpu', threads: 1, optimize: 'on' });
  },
};

const ENGINES: readonly Candidate[] = [
  { name: 'the reference', device: 'cpu', open: async () => openReference() },
  ...(['c-api', 'binding'] as const).flatMap((driver) =>
    (['off', 'on'] as const).map(
      (optimize): Candidate => ({
        name: `ort by ${driver === 'c-api' ? 'the C API' : 'the Node binding'}, optimisation ${optimize}`,
        device: 'cpu',
        open: () => openOrtHere({ device: 'cpu', threads: 1, optimize, driver }),
      }),
    ),
  ),
  WEBGPU,
];

/** Runs a graph on an engine and holds every output against the float64 evaluation. */
async function expectConforms(engine: Engine, graph: Graph, inputs: TestInputs, tolerance: Tolerance): Promise<void> {
  const used = inputsOf(graph, inputs);
  const want = evaluate(graph, used);
  const uploaded = Object.fromEntries(Object.entries(used).map(([name, t]) => [name, engine.upload(toHost(t))]));
  const outputs = engine.run(engine.compile(graph), uploaded);
  for (const [name, expected] of Object.entries(want)) {
    const got = await engine.read(outputs[name]!);
    expect(got.shape, name).toEqual(expected.shape);
    expect(outOfBounds(got.data as Float32Array, expected.data, tolerance), name).toBeUndefined();
  }
  engine.release(...Object.values(uploaded), ...Object.values(outputs));
}

const wrtOf = (c: OpCase) => c.wrt ?? Object.keys(c.inputs).filter((name) => c.inputs[name]!.dtype === 'f32');

function graphsOf(
  op: OpName,
  c: OpCase,
): { readonly result: Graph; readonly gradients?: Graph; readonly dy: TestInputs } {
  const g = createBuilder();
  const x = Object.fromEntries(Object.entries(c.inputs).map(([name, t]) => [name, g.input(name, t.shape, t.dtype)]));
  const y = c.build(g, x);
  const result = finishGraph(g, { y });
  const wrt = typeof OPS[op].vjp === 'function' ? wrtOf(c) : [];
  if (wrt.length === 0) return { result, dy: {} };
  const grads = backward(
    g,
    [[y, g.input('dy', y.shape)]],
    wrt.map((name) => x[name]!),
  );
  const gradients = finishGraph(g, Object.fromEntries(wrt.map((name, i) => [`d.${name}`, grads[i]!])));
  return { result, gradients, dy: { dy: real(y.shape, -1, 1, 99) } };
}

async function expectSegmentConforms(engine: Engine, c: SegmentCase): Promise<void> {
  const programs = segmentPrograms(c.segment, c.wanted, 'nothing');
  await expectConforms(engine, programs.forward, c.inputs, LAYER);
  const { shape } = programs.forward.nodes[programs.forward.outputs.y!]!;
  await expectConforms(engine, programs.backward, { ...c.inputs, dy: real(shape, -1, 1, 99) }, LAYER);
}

for (const candidate of ENGINES) {
  const { name, device, missing } = candidate;
  describe.skipIf(missing !== undefined)(missing === undefined ? name : `${name} (${missing})`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await candidate.open();
    });
    afterAll(async () => {
      await engine.close();
    });

    describe.each(Object.keys(OP_CASES) as OpName[])('%s', (op) => {
      it.each(OP_CASES[op].map((c) => [c.name, c] as const))('%s', async (_name, c) => {
        if (c.device !== undefined && c.device !== device) return;
        const { result, gradients, dy } = graphsOf(op, c);
        await expectConforms(engine, result, c.inputs, toleranceOf(op, device));
        if (gradients !== undefined) await expectConforms(engine, gradients, { ...c.inputs, ...dy }, GRADIENT[device]);
      });
    });

    it.each([...ATTENTION_CASES, ...LAYER_CASES].map((c) => [c.name, c] as const))('%s', async (_name, c) => {
      await expectSegmentConforms(engine, c);
    });

    it('softmax of a row that is masked as a whole is uniform, not NaN', async () => {
      const g = createBuilder();
      const masked = g.causalMask({ queries: 2, keys: 4, offset: -1, window: 0 });
      const program = engine.compile(finishGraph(g, { y: g.softmax(g.add(g.input('x', [2, 4]), masked)) }));
      const { y } = engine.run(program, { x: engine.upload(toHost(exactly([2, 4], new Array(8).fill(0)))) });
      expect([...(await engine.read(y!)).data]).toEqual([0.25, 0.25, 0.25, 0.25, 1, 0, 0, 0]);
    });
  });
}
