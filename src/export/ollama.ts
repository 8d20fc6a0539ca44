import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { writeAtomic } from '../io/index.ts';
import { endOfTurn, type Tokenizer, templateSystemPrompt } from '../text/index.ts';
import { ggufFileName, ggufWriter } from './gguf.ts';
import { type TurnFormat, turnFormat } from './turns.ts';
import type { ExportJob, Writer } from './types.ts';

/** A GGUF file and the Modelfile that Ollama makes a model of. */
export const ollamaWriter: Writer = {
  plan(job) {
    modelfile(job);
    return ggufWriter.plan(job);
  },
  async write(job, folder, onBytes) {
    writeAtomic(join(folder, 'Modelfile'), modelfile(job));
    await ggufWriter.write(job, folder, onBytes);
  },
  readBack: ggufWriter.readBack,
  next: (job, folder) => `ollama create ${job.name.toLowerCase()} -f ${join(folder, 'Modelfile')}`,
};

/**
 * The Modelfile: where the weights are, the chat template in Go's template language, what ends an answer, and the system prompt.
 *
 * @throws EXPORT_UNSUPPORTED for a template that Go's language cannot say
 */
export function modelfile(job: ExportJob): string {
  const { tokenizer, template } = job.tools;
  if (tokenizer === undefined || template === undefined) throw unsupported(job, 'has no chat template');
  const found = turnFormat(template);
  if (found === undefined) {
    throw unsupported(job, 'has a chat template that shows the same turn differently at different places');
  }
  const system = job.system ?? templateSystemPrompt(template);
  const stops = new Set([endOfTurn(template, tokenizer).token, nameOf(tokenizer, tokenizer.eosId)]);
  const lines = [
    `FROM ./${ggufFileName(job)}`,
    `TEMPLATE ${blockOf(job, goTemplate(withoutBos(job, found, tokenizer)))}`,
    ...(system === undefined ? [] : [`SYSTEM ${blockOf(job, system)}`]),
    ...[...stops].flatMap((stop) => (stop === undefined ? [] : [`PARAMETER stop ${JSON.stringify(stop)}`])),
    ...(job.licence === undefined ? [] : [`LICENSE ${job.licence}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function nameOf(tokenizer: Tokenizer, id: number | undefined): string | undefined {
  return id === undefined ? undefined : tokenizer.idToToken(id);
}

/** Ollama puts the BOS first itself where the tokenizer asks for one; a second one in the text would be one too many. */
function withoutBos(job: ExportJob, format: TurnFormat, tokenizer: Tokenizer): TurnFormat {
  const bos = nameOf(tokenizer, tokenizer.bosId);
  if (!tokenizer.addsBos || bos === undefined) return format;
  const cut = (text: string): string => {
    if (text.startsWith(bos)) return text.slice(bos.length);
    throw unsupported(job, `has a chat template without ${bos}, which Ollama would put first`);
  };
  const { system } = format;
  return { ...format, start: cut(format.start), system: system && { ...system, head: cut(system.head) } };
}

/** A turn format in Go's template language, over Ollama's `.Messages`. No trimming marks: every space counts. */
export function goTemplate({ start, system, afterUser, afterAnswer, opening }: TurnFormat): string {
  const asSystem =
    system === undefined
      ? ''
      : `if eq .Role "system" }}${goText(system.head)}{{ .Content }}${goText(system.afterSystem)}{{ else `;
  return (
    `{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}{{ ${asSystem}` +
    `if eq .Role "user" }}{{ if eq $i 0 }}${goText(start)}{{ end }}{{ .Content }}` +
    `{{ if $last }}${goText(opening)}{{ else }}${goText(afterUser)}{{ end }}` +
    `{{ else if eq .Role "assistant" }}{{ .Content }}{{ if not $last }}${goText(afterAnswer)}{{ end }}{{ end }}{{ end }}`
  );
}

/** Text outside of actions; braces that would begin one are written by one. */
function goText(text: string): string {
  return text.replaceAll('{{', '{{ "{{" }}');
}

/** Text over several lines. */
function blockOf(job: ExportJob, text: string): string {
  if (!text.includes('"""')) return `"""${text}"""`;
  throw unsupported(job, 'has three quotes in a row in its template or system prompt, which end a text in a Modelfile');
}

function unsupported({ source }: ExportJob, what: string): TunesmithError {
  return new TunesmithError('EXPORT_UNSUPPORTED', {
    file: source.path,
    message: `${what}, so no Modelfile can be made of it.`,
    fix: 'export it with --to gguf, and serve it with llama.cpp, which runs the template as it is',
  });
}
