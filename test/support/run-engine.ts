// Runs one small program with ONNX Runtime; for tests that look at what its process does. Argument: the way to the library.
import { openOrt, openOrtHere } from '../../src/engine/index.ts';
import { createBuilder, finishGraph } from '../../src/graph/index.ts';
import { f32 } from '../../src/tensor/tensor.ts';

const options = { device: 'cpu', threads: 1, optimize: 'on' } as const;
const way = process.argv[2] as 'c-api' | 'binding' | 'process';
const engine = way === 'process' ? openOrt(options) : await openOrtHere({ ...options, driver: way });
const g = createBuilder();
const x = g.input('x', [2]);
const { y } = engine.run(engine.compile(finishGraph(g, { y: g.exp(x) })), { x: engine.upload(f32([0, 0], [2])) });
console.log([...(await engine.read(y!)).data].join());
await engine.close();
