/** `npm run bench -- NAME [OPTIONS]`: the same work through us and through a peer, in one go. */
const BENCHES: Readonly<Record<string, () => Promise<{ main(args: readonly string[]): Promise<void> }>>> = {
  classify: () => import('./classify.ts'),
  dpo: () => import('./dpo.ts'),
  datatrove: () => import('./datatrove.ts'),
  'data-quality': () => import('./data-quality/main.ts'),
  'house-style': () => import('./house-style.ts'),
  'lm-eval': () => import('./lm-eval.ts'),
  'false-alarms': () => import('./false-alarms.ts'),
  forgetting: () => import('./forgetting.ts'),
  generate: () => import('./generate.ts'),
  train: () => import('./train.ts'),
  'two-tasks': () => import('./two-tasks.ts'),
};

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`Usage: npm run bench -- ${Object.keys(BENCHES).join('|')}`);
  process.exitCode = 2;
} else {
  await (await bench()).main(args);
}
