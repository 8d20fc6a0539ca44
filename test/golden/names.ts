/** The tiny models of every architecture; see oracle/make_goldens.py. */
export const GOLDENS = ['llama', 'llama-tied-rope3', 'llama-rope-linear', 'llama-bf16-sharded', 'mistral-window', 'qwen2', 'qwen3', 'olmo2', 'smollm3', 'phi3', 'phi3-longrope', 'qwen2-window', 'gemma3', 'gpt2', 'qwen3-moe', 'granite', 'starcoder2'] as const;
