import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * Functions of ONNX Runtime's C API that are used, with their place in the OrtApi table (append-only, so a place never changes)
 * and their signature. `void*` results are a status: null is success.
 */
const FUNCTIONS = {
  GetErrorMessage: [2, 'const char* F(void*)'],
  CreateSessionFromArray: [8, 'void* F(void*, const void*, size_t, void*, _Out_ void**)'],
  Run: [9, 'void* F(void*, void*, const char**, void**, size_t, const char**, size_t, _Inout_ void**)'],
  CreateSessionOptions: [10, 'void* F(_Out_ void**)'],
  EnableProfiling: [14, 'void* F(void*, const char*)'],
  DisableMemPattern: [17, 'void* F(void*)'],
  DisableCpuMemArena: [19, 'void* F(void*)'],
  SetSessionLogSeverityLevel: [22, 'void* F(void*, int)'],
  SetSessionGraphOptimizationLevel: [23, 'void* F(void*, int)'],
  CreateTensorWithDataAsOrtValue: [49, 'void* F(void*, void*, size_t, const int64_t*, size_t, int, _Out_ void**)'],
  CreateCpuMemoryInfo: [69, 'void* F(int, int, _Out_ void**)'],
  ReleaseStatus: [93, 'void F(void*)'],
  ReleaseSession: [95, 'void F(void*)'],
  ReleaseValue: [96, 'void F(void*)'],
  ReleaseSessionOptions: [100, 'void F(void*)'],
  CreateEnvWithGlobalThreadPools: [119, 'void* F(int, const char*, void*, _Out_ void**)'],
  DisablePerSessionThreads: [120, 'void* F(void*)'],
  CreateThreadingOptions: [121, 'void* F(_Out_ void**)'],
  AddSessionConfigEntry: [130, 'void* F(void*, const char*, const char*)'],
  SetGlobalIntraOpNumThreads: [147, 'void* F(void*, int)'],
  AddInitializer: [150, 'void* F(void*, const char*, const void*)'],
  CreatePrepackedWeightsContainer: [166, 'void* F(_Out_ void**)'],
  AddExternalInitializers: [210, 'void* F(void*, const char**, const void**, size_t)'],
  CreateSessionFromArrayWithPrepackedWeightsContainer: [
    169,
    'void* F(void*, const void*, size_t, void*, void*, _Out_ void**)',
  ],
} as const;

type Name = keyof typeof FUNCTIONS;
type NativeFunction = (...args: unknown[]) => unknown;

/** ONNX Runtime's C API. `call` throws on a failed status, `create` returns the object that the function makes. */
export interface CApi {
  call(name: Name, ...args: unknown[]): void;
  create(name: Name, ...args: unknown[]): unknown;
}

/** The API version that the table above was written for; any later library serves it. */
const API_VERSION = 22;

/**
 * Loads the library that onnxruntime-node brings, through koffi.
 *
 * @returns undefined where koffi or the library is not there: the Node binding then does the work
 */
export function loadCApi(): Promise<CApi | undefined> {
  loaded ??= bindCApi(); // koffi knows each type name once
  return loaded;
}

let loaded: Promise<CApi | undefined> | undefined;

async function bindCApi(): Promise<CApi | undefined> {
  const koffi = await import('koffi').then((m) => m.default).catch(() => undefined);
  const library = koffi === undefined ? undefined : libraryPath();
  if (koffi === undefined || library === undefined) return undefined;

  const base = koffi.load(library).func('void* OrtGetApiBase()')() as unknown;
  const { GetApi } = koffi.decode(base, koffi.struct({ GetApi: 'void*', GetVersionString: 'void*' }));
  const api = koffi.decode(GetApi, koffi.proto('void* OrtGetApi(uint32_t)'))(API_VERSION);
  const table = koffi.decode(api, koffi.array('void*', 220, 'Array')) as unknown[];
  const bound = new Map<Name, NativeFunction>();
  for (const [name, [place, signature]] of Object.entries(FUNCTIONS) as [Name, readonly [number, string]][]) {
    bound.set(name, koffi.decode(table[place], koffi.proto(signature.replace('F(', `Ort${name}(`))) as NativeFunction);
  }
  const call = (name: Name, ...args: unknown[]) => {
    const status = bound.get(name)!(...args);
    if (!FUNCTIONS[name][1].startsWith('void* F') || status === null) return;
    const message = String(bound.get('GetErrorMessage')!(status));
    bound.get('ReleaseStatus')!(status);
    throw new Error(`internal: ONNX Runtime ${name}: ${message}`);
  };
  return {
    call,
    create(name, ...args) {
      const out = [null];
      call(name, ...args, out);
      return out[0];
    },
  };
}

function libraryPath(): string | undefined {
  const home = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const folder = join(home, 'bin', 'napi-v6', process.platform, process.arch);
  try {
    const file = readdirSync(folder).find((name) =>
      /^(libonnxruntime\.(so\.\d+|[\d.]+\.dylib)|onnxruntime\.dll)$/.test(name),
    );
    return file === undefined ? undefined : join(folder, file);
  } catch {
    return undefined;
  }
}
