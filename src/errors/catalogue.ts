import { DATA_CATALOGUE } from './data-catalogue.ts';

/** One entry of the catalogue: the exit code it ends with, the rule it stands for, and the usual fix when the thrower names none. */
export interface CatalogueEntry {
  readonly exit: 1 | 2 | 3;
  readonly rule: string;
  readonly fix?: string;
}

/**
 * Every error that a user can meet, by code. Codes are `AREA_WHAT`; a retired code is never used again for something else.
 * Keep each area together and sorted.
 */
export const CATALOGUE = {
  // cli
  CLI_ARGUMENT: { exit: 2, rule: 'A command gets the arguments that its --help shows, no fewer and no more.' },
  CLI_COMMAND_UNKNOWN: { exit: 2, rule: 'Commands are those that tunesmith --help lists.', fix: 'tunesmith --help' },
  CLI_OPTION_CONFLICT: { exit: 2, rule: 'Options do not contradict each other, and each has an effect.' },
  CLI_OPTION_UNKNOWN: { exit: 2, rule: 'Options are those that --help lists.' },
  CLI_OPTION_VALUE: { exit: 2, rule: 'The value of an option is of its type and within its range.' },
  // classifiers
  CLASSIFIER_FILE: { exit: 2, rule: 'classifier.json is as training wrote it.', fix: 'train the classifier again.' },
  CLASSIFIER_MISSING: {
    exit: 2,
    rule: 'What classifies was trained with --method classify.',
    fix: 'tunesmith train --method classify --data FILE',
  },
  CLASSIFIER_USE: {
    exit: 2,
    rule: 'A classifier gives labels, a reward model rewards.',
    fix: 'use it with tunesmith classify (export --to onnx for transformers.js), a reward model with tunesmith score; its folder loads in transformers as it is.',
  },
  // data
  ...DATA_CATALOGUE,
  // config
  CONFIG_AMBIGUOUS: { exit: 2, rule: 'A folder holds one tunesmith.config.*.' },
  CONFIG_BROKEN: { exit: 2, rule: 'A config file can be loaded and holds one config.' },
  CONFIG_KEY_UNKNOWN: { exit: 2, rule: 'Every key of a config is known.' },
  CONFIG_VALUE: { exit: 2, rule: 'The value of a key is of its type and within its range.' },
  // downloads
  DOWNLOAD_BUSY: {
    exit: 1,
    rule: 'A server has time to answer.',
    fix: 'wait a while and run the command again: it goes on where it stopped. The hub lets those ask more often who give a token in HF_TOKEN.',
  },
  DOWNLOAD_CHECKSUM: {
    exit: 1,
    rule: 'What is downloaded has the pinned SHA-256.',
    fix: 'run the command again; if it stays, the source has changed its file.',
  },
  DOWNLOAD_CUT: {
    exit: 1,
    rule: 'A download arrives whole.',
    fix: 'run the command again: it goes on where it stopped.',
  },
  DOWNLOAD_REFUSED: {
    exit: 2,
    rule: 'The server hands out what is asked for.',
    fix: 'check the spelling of the name, HF_ENDPOINT, HF_TOKEN, and what a proxy lets pass.',
  },
  DOWNLOAD_UNREACHABLE: {
    exit: 1,
    rule: 'A source answers within 5 seconds.',
    fix: 'check the network, or name a model folder or .gguf file that is on this machine.',
  },
  // models
  MODEL_FILE_CHOICE: { exit: 2, rule: 'Of a repository with several GGUF files one is named: OWNER/NAME:FILE.gguf.' },
  MODEL_GATED: {
    exit: 2,
    rule: 'The licence of a gated model is accepted before it is pulled, and a token says by whom.',
  },
  MODEL_NOT_FOUND: {
    exit: 2,
    rule: 'MODEL is a catalogue name, a Hugging Face id, a folder, a .gguf file, or a run.',
    fix: 'tunesmith models lists the names.',
  },
  MODEL_OFFLINE: { exit: 2, rule: 'Offline, a model is one that is on this machine already.' },
  // files
  DISK_FULL: {
    exit: 1,
    rule: 'The disk has room for what is written.',
    fix: 'free some space, then run the command again.',
  },
  FILE_CUT_SHORT: { exit: 2, rule: 'A file holds all the bytes that it promises.', fix: 'fetch or write it again.' },
  FILE_EXISTS: { exit: 2, rule: 'A file that people have written is not overwritten.' },
  FILE_NOT_FOUND: { exit: 2, rule: 'A named file or folder exists and can be read.' },
  FILE_NOT_JSON: { exit: 2, rule: 'A .json file holds one JSON value.' },
  FILE_NOT_UTF8: { exit: 2, rule: 'Text files are UTF-8.', fix: 'save it as UTF-8.' },
  FILE_UNREADABLE: { exit: 2, rule: 'A named file is a plain file that this user may read.' },
  FILE_WRITE_FAILED: { exit: 1, rule: 'The folder that is written to exists and this user may write there.' },
  // weight files
  GGUF_HEADER: {
    exit: 2,
    rule: 'A GGUF file starts with GGUF and version 2 or 3, little-endian, and holds all that its header counts.',
  },
  GGUF_METADATA: { exit: 2, rule: 'GGUF keys are unique, and their values have known types and sane lengths.' },
  GGUF_TENSOR: {
    exit: 2,
    rule: 'GGUF tensors have unique names, at most 4 dimensions, and aligned bytes of their own within the file.',
  },
  GGUF_TYPE_UNKNOWN: {
    exit: 2,
    rule: 'GGUF tensors are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL or IQ4_XS.',
    fix: 'use a file of another quantisation, such as Q8_0 or Q4_K_M.',
  },
  SAFETENSORS_DTYPE_UNKNOWN: { exit: 2, rule: 'Safetensors dtypes are F32, F16, BF16, F64, I64, I32 or U8.' },
  SAFETENSORS_HEADER: {
    exit: 2,
    rule: 'A safetensors file starts with the length of its JSON header and the header itself.',
  },
  SAFETENSORS_INDEX: {
    exit: 2,
    rule: 'model.safetensors.index.json names shards in its own folder that hold the tensors it lists.',
  },
  SAFETENSORS_OFFSETS: {
    exit: 2,
    rule: 'Safetensors data_offsets fit shape and dtype and tile the data without overlap or hole.',
  },
  // models
  ADAPTER_CONFIG: {
    exit: 2,
    rule: 'An adapter folder holds adapter_config.json and adapter_model.safetensors that agree.',
  },
  ADAPTER_MISMATCH: { exit: 2, rule: 'An adapter belongs to the base model that it is used with.' },
  ADAPTER_STRENGTH: {
    exit: 2,
    rule: 'The strength of an adapter scales what LoRA adds to the base, and nothing else was trained.',
    fix: 'leave --strength out.',
  },
  ADAPTER_TARGETS: { exit: 2, rule: 'Target modules are linear modules of the model.' },
  ADAPTER_UNSUPPORTED: { exit: 2, rule: 'An adapter uses only features that are computed exactly.' },
  BASE_WEIGHTS: { exit: 2, rule: 'Base weights are rounded once, and only frozen ones stay in few bits.' },
  MODEL_CONFIG: { exit: 2, rule: 'A model has a complete configuration that its weights agree with.' },
  MODEL_UNSUPPORTED: { exit: 2, rule: 'A model is of an architecture that is computed exactly.' },
  MODEL_WEIGHTS: { exit: 2, rule: 'Weight files hold every tensor of the model in the shape that its config gives.' },
  // tokenizers, templates and rendering
  TEMPLATE_DROPS_MESSAGE: {
    exit: 2,
    rule: 'The chat template shows every message of a conversation.',
    fix: 'take the message out of the row, or use a model whose template shows it.',
  },
  TEMPLATE_INVALID: { exit: 2, rule: 'A chat template is Jinja as transformers runs it.' },
  TEMPLATE_MISSING: {
    exit: 2,
    rule: 'Conversations need a model with a chat template.',
    fix: 'use an instruction-tuned model, or --format raw for prompts and answers without a template.',
  },
  TEMPLATE_NO_END_OF_TURN: {
    exit: 2,
    rule: 'The chat template ends an answer with a token of its own, so that the model can learn to stop.',
    fix: 'use another chat template, or another model.',
  },
  TEMPLATE_NO_REASONING: {
    exit: 2,
    rule: 'A row with reasoning_content needs a chat template that shows it.',
    fix: 'take reasoning_content out of the rows, or use a reasoning model.',
  },
  TEMPLATE_NO_TOOLS: {
    exit: 2,
    rule: 'A row with tools, tool calls or tool results needs a chat template that shows them.',
    fix: 'take the tools out of the rows, or use a model that is made for tools.',
  },
  TEMPLATE_PROMPT_DIVERGES: {
    exit: 2,
    rule: 'An answer is trained under the prompt that serving shows before it.',
    fix: 'give the answer with what the prompt opens (such as its reasoning), or use another chat template.',
  },
  TEMPLATE_REJECTED: {
    exit: 2,
    rule: 'Conversations have the order and the roles that the chat template accepts.',
  },
  TOKEN_ADDED: {
    exit: 2,
    rule: 'A token that is added is a text of its own, which the model knows in several pieces and which comes out as it went in.',
    fix: 'leave it out of --add-tokens, or spell it otherwise.',
  },
  TOKENIZER_INVALID: { exit: 2, rule: 'A model comes with a complete tokenizer.' },
  TOKENIZER_MISMATCH: { exit: 2, rule: 'Every id that the tokenizer makes has a row in the embedding of the model.' },
  TOKENIZER_MISSING: { exit: 2, rule: 'Rows of text need the tokenizer of the model.' },
  TOKENIZER_NO_EOS: {
    exit: 2,
    rule: 'Training on text ends each text with the end-of-sequence token of the tokenizer.',
  },
  TOKENIZER_PRE_UNKNOWN: {
    exit: 2,
    rule: 'tokenizer.ggml.pre names a pre-tokenizer that is known, for another one would change the tokens.',
    fix: "use the model's Hugging Face folder instead.",
  },
  TOKENIZER_UNSUPPORTED: {
    exit: 2,
    rule: 'Tokenizers are byte-level BPE or SentencePiece-style BPE.',
  },
  // devices
  DEVICE_UNAVAILABLE: {
    exit: 2,
    rule: 'The device that is asked for is there and has a driver.',
    fix: 'leave --device out to use the CPU; tunesmith doctor tells what works here.',
  },
  // evaluation
  EVAL_JUDGE: {
    exit: 2,
    rule: 'A judge is a model here, or an OpenAI-compatible endpoint that answers and that one agreed to send to.',
    fix: 'tunesmith eval --help shows both.',
  },
  EVAL_SCORER: { exit: 2, rule: 'A scorer is a .ts or .js file whose default export is a function.' },
  EVAL_TASK: {
    exit: 2,
    rule: 'A task is rows of {context, choices, gold}, of {prompt, references, metric?} with one metric that fits the references, or of a benchmark.',
    fix: 'tunesmith eval --help shows them.',
  },
  // export
  EXPORT_DIVERGED: {
    exit: 3,
    rule: 'What was exported gives what was trained, within the limit of its kind of numbers.',
    fix: 'choose a --quant with more bits.',
  },
  EXPORT_FOLDER: {
    exit: 2,
    rule: 'An export goes into a folder that is new or empty.',
    fix: 'name another folder with --out.',
  },
  EXPORT_UNSUPPORTED: { exit: 2, rule: 'An export is of a kind that its format can say.' },
  // pushing to the hub
  PUSH_FAILED: { exit: 1, rule: 'A push arrives as one commit, or not at all.', fix: 'push again.' },
  PUSH_REFUSED: { exit: 2, rule: 'A push needs a token that may write.', fix: 'set HF_TOKEN to one that may.' },
  // generation
  GENERATE_OUT_DIFFERS: {
    exit: 2,
    rule: 'A file of answers is completed with the model, sampling and rows that it was begun with.',
    fix: 'name another file with --out, or put back what has changed.',
  },
  GENERATE_PRECISION: {
    exit: 2,
    rule: 'Fast generation needs weights in blocks of 32.',
    fix: 'use --precision exact.',
  },
  GENERATE_PROMPT: {
    exit: 2,
    rule: "A prompt has at least one token, and leaves room for an answer in the model's context.",
  },
  // preferences
  PREFER_BUSY: {
    exit: 2,
    rule: 'One process at a time writes to a file of rankings.',
    fix: 'finish the other one; --web with several --rater lets people judge at once.',
  },
  PREFER_LOG: {
    exit: 2,
    rule: 'A file of rankings holds what tunesmith prefer wrote: a first line, prompts with answers, judgements of these.',
    fix: 'correct or remove the line; tunesmith prefer import reads rows of other kinds.',
  },
  PREFER_NOTHING: { exit: 2, rule: 'There is something to judge, or to write.' },
  // pages
  SERVE_PORT: { exit: 1, rule: 'The port that is listened on is free.', fix: 'name another --port, or leave it out.' },
  // training
  REPLAY_MEASURED: {
    exit: 2,
    rule: 'Text on which forgetting is measured is not trained on.',
    fix: 'replay other text.',
  },
  TRAIN_DISK: { exit: 2, rule: 'There is room on the disk for the checkpoints of the run.' },
  TRAIN_MEMORY: { exit: 2, rule: 'The run fits into memory.' },
  TRAIN_NOT_FINITE: { exit: 1, rule: 'Loss and gradients are finite.' },
  // the engine
  ENGINE_GONE: {
    exit: 1,
    rule: 'The process that computes lives until it is closed.',
    fix: 'free some memory or lower --memory, then run the command again; tunesmith doctor says whether the engine works.',
  },
  // rewards
  REWARD_CONSTANT: {
    exit: 2,
    rule: 'A reward tells some answers from others.',
    fix: 'look at the reward with a few answers of your own.',
  },
  REWARD_FAILED: {
    exit: 2,
    rule: 'A reward gives each answer a finite number.',
    fix: 'mend the reward; a run that has begun goes on with tunesmith train --resume RUN.',
  },
  REWARD_HEAD: {
    exit: 2,
    rule: 'A reward head is a safetensors file with score.weight of one row, as wide as the model.',
    fix: 'leave --reward-head out to start from a new head.',
  },
  REWARD_JUNK: {
    exit: 2,
    rule: 'A reward gives right answers more than junk: what it accepts is what the model learns.',
    fix: 'use a stricter reward, or add one that asks for the right answer.',
  },
  REWARD_REFERENCE: {
    exit: 2,
    rule: 'A reward that compares answers needs rows that bring the right one.',
    fix: 'add a column answer, or choose a reward that needs none.',
  },
  REWARD_UNKNOWN: {
    exit: 2,
    rule: 'A reward is a verifier, a judge, a file that exports a function, or a run of --method reward.',
    fix: 'tunesmith train --help lists the verifiers.',
  },
  REWARD_USE: {
    exit: 2,
    rule: 'A reward model gives answers a number, which tunesmith score and --reward read.',
    fix: 'tunesmith score RUN --data FILE',
  },
  // runs
  RUN_ACTIVE: {
    exit: 2,
    rule: 'One process at a time works on a run.',
    fix: 'wait for it, or stop it with Ctrl-C, which saves the run.',
  },
  RUN_BROKEN: { exit: 1, rule: 'Each line of events.jsonl is an event; only the last may be torn.' },
  RUN_CHECKPOINT: { exit: 2, rule: 'A checkpoint holds weights, optimiser state and progress of its run.' },
  RUN_CHECKPOINT_NOT_FOUND: {
    exit: 2,
    rule: 'RUN:step-N names a checkpoint that was kept; RUN alone its best.',
    fix: 'tunesmith runs show RUN lists the checkpoints.',
  },
  RUN_CONFIG: {
    exit: 2,
    rule: 'config.json of a run is as the run wrote it.',
    fix: 'put it back as it was, or use the version of tunesmith that config.json names under frozen.versions',
  },
  RUN_DATA_CHANGED: { exit: 2, rule: 'A resumed run reads the very files that it was started with.' },
  RUN_EXISTS: { exit: 2, rule: 'A new run has a name of its own.' },
  RUN_NO_ROWS: {
    exit: 2,
    rule: 'What rows lost is kept by runs whose loss is that of tokens or labels.',
    fix: 'train again, with sft, classify or pretrain.',
  },
  RUN_NOT_FOUND: {
    exit: 2,
    rule: 'A run is named by its name, its path, or @last.',
    fix: 'tunesmith runs ls lists the runs.',
  },
} as const satisfies Record<string, CatalogueEntry>;

/** The code of a catalogue error. */
export type ErrorCode = keyof typeof CATALOGUE;
