import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where Debian's package chromium-common lays SwiftShader, a Vulkan driver that needs no GPU, and the Vulkan loader beside it. */
const SWIFTSHADER = '/usr/lib/chromium';
const DRIVER = 'vk_swiftshader_icd.json';

/** The environment in which a process finds a Vulkan driver, or why there is none. */
export type Vulkan = { readonly env: Readonly<Record<string, string>> } | { readonly missing: string };

/**
 * Finds a Vulkan driver: the one that VK_ICD_FILENAMES names, else SwiftShader. The loader's library path is read when a process
 * starts, so the environment is for a child.
 */
export function findVulkan(): Vulkan {
  const named = process.env.VK_ICD_FILENAMES;
  if (named !== undefined && existsSync(named)) return { env: {} };
  if (existsSync(join(SWIFTSHADER, DRIVER))) return { env: environment(SWIFTSHADER) };
  return { missing: `no Vulkan driver: install Debian's chromium-common, or set VK_ICD_FILENAMES and LD_LIBRARY_PATH` };
}

function environment(folder: string): Record<string, string> {
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter((path) => path !== undefined);
  return { LD_LIBRARY_PATH: libraries.join(':'), VK_ICD_FILENAMES: join(folder, DRIVER) };
}
