import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** Path of the default base model (SmolLM2-135M-Instruct, Q4_1) if it has been pulled; tests that need it are skipped otherwise. */
export function baseModelPath(): string | undefined {
  const home = process.env.TUNESMITH_HOME ?? path.join(homedir(), '.cache', 'tunesmith');
  const file = path.join(home, 'models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');
  return existsSync(file) ? file : undefined;
}
