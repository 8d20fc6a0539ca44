import type { Command } from './command.ts';

/** A command before it is loaded. */
export interface CommandEntry {
  readonly summary: string;
  readonly group: 'main' | 'data' | 'feedback' | 'runs' | 'plumbing';
  load(): Promise<Command>;
}

/** The commands, in the order of the help. */
export const commands: Readonly<Record<string, CommandEntry>> = {
  quickstart: {
    summary: 'the whole story in minutes on a laptop: pull, train, compare, what was forgotten',
    group: 'main',
    load: async () => (await import('./commands/quickstart.ts')).quickstart,
  },
  init: {
    summary: 'look at a data file and write a tunesmith.config.ts for it',
    group: 'main',
    load: async () => (await import('./commands/init.ts')).init,
  },
  train: {
    summary: 'fine-tune a model',
    group: 'main',
    load: async () => (await import('./commands/train.ts')).train,
  },
  chat: {
    summary: 'talk to a model or a run',
    group: 'main',
    load: async () => (await import('./commands/chat.ts')).chat,
  },
  generate: {
    summary: 'answer prompts, one or a whole file',
    group: 'main',
    load: async () => (await import('./commands/generate.ts')).generate,
  },
  classify: {
    summary: 'label texts with a classifier: probabilities, thresholds, none of these',
    group: 'main',
    load: async () => (await import('./commands/classify.ts')).classify,
  },
  eval: {
    summary: 'measure what was learned and what was forgotten, with error bars',
    group: 'main',
    load: async () => (await import('./commands/eval.ts')).evalCommand,
  },
  gate: {
    summary: 'say whether a run may ship; exits 3 if not',
    group: 'main',
    load: async () => (await import('./commands/gate.ts')).gate,
  },
  export: {
    summary: 'write a model for other programs: peft, safetensors, gguf, ollama',
    group: 'main',
    load: async () => (await import('./commands/export.ts')).exportCommand,
  },
  data: {
    summary: 'look at data files: figures, what is wrong, rows as a model sees them',
    group: 'data',
    load: async () => (await import('./commands/data/overview.ts')).overview,
  },
  'data check': {
    summary: 'find what is wrong in data',
    group: 'data',
    load: async () => (await import('./commands/data/check.ts')).check,
  },
  'data fix': {
    summary: 'mend data into a new file, with a log that can be undone',
    group: 'data',
    load: async () => (await import('./commands/data/fix.ts')).fix,
  },
  'data split': {
    summary: 'divide data into training, validation and test rows without leaks',
    group: 'data',
    load: async () => (await import('./commands/data/split.ts')).split,
  },
  'data mix': {
    summary: 'mix data sets by weights, temperature or epochs',
    group: 'data',
    load: async () => (await import('./commands/data/mix.ts')).mix,
  },
  'data stats': {
    summary: 'lengths, turns, languages, labels, share of trained tokens',
    group: 'data',
    load: async () => (await import('./commands/data/stats.ts')).stats,
  },
  'data xray': {
    summary: 'rows as a model sees them, every token by what it is',
    group: 'data',
    load: async () => (await import('./commands/data/xray.ts')).xray,
  },
  'data convert': {
    summary: 'write data in another format, or join messages to conversations',
    group: 'data',
    load: async () => (await import('./commands/data/convert.ts')).convert,
  },
  prefer: {
    summary: 'rank answers, blind, in the terminal or the browser',
    group: 'feedback',
    load: async () => (await import('./commands/prefer/rank.ts')).prefer,
  },
  'prefer export': {
    summary: 'write rankings as pairs, lists or marks for other tools',
    group: 'feedback',
    load: async () => (await import('./commands/prefer/export.ts')).preferExport,
  },
  'prefer import': {
    summary: 'read judgements of TRL, OpenAI, Argilla, or of chat',
    group: 'feedback',
    load: async () => (await import('./commands/prefer/import.ts')).preferImport,
  },
  'prefer agreement': {
    summary: 'say how far raters agree, and where they do not',
    group: 'feedback',
    load: async () => (await import('./commands/prefer/agreement.ts')).preferAgreement,
  },
  'runs ls': {
    summary: 'list the runs',
    group: 'runs',
    load: async () => (await import('./commands/runs.ts')).runsLs,
  },
  'runs show': {
    summary: 'show a run: config, losses, checkpoints',
    group: 'runs',
    load: async () => (await import('./commands/runs.ts')).runsShow,
  },
  'runs compare': {
    summary: 'show in what runs differ, and what came of it',
    group: 'runs',
    load: async () => (await import('./commands/runs.ts')).runsCompare,
  },
  'runs merge': {
    summary: 'make one adapter of several',
    group: 'runs',
    load: async () => (await import('./commands/runs-merge.ts')).runsMerge,
  },
  'runs rm': {
    summary: 'remove runs',
    group: 'runs',
    load: async () => (await import('./commands/runs.ts')).runsRm,
  },
  models: {
    summary: 'list the models that are known or pulled',
    group: 'plumbing',
    load: async () => (await import('./commands/models.ts')).models,
  },
  pull: {
    summary: 'fetch a model into the cache',
    group: 'plumbing',
    load: async () => (await import('./commands/pull.ts')).pull,
  },
  tokenize: {
    summary: 'show the token ids of a text or of messages',
    group: 'plumbing',
    load: async () => (await import('./commands/tokenize.ts')).tokenize,
  },
  score: {
    summary: 'the loss of a model on rows',
    group: 'plumbing',
    load: async () => (await import('./commands/score.ts')).score,
  },
  doctor: {
    summary: 'check this machine: versions, devices, telemetry, numerics',
    group: 'plumbing',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
};
