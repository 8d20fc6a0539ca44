import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { remove } from './atomic.ts';

/** What came of a program that was locked in: `passed` ended by itself and without a fault. */
export interface Confined {
  readonly outcome: 'passed' | 'failed' | 'timeout' | 'memory' | 'disk' | 'absent';
  /** The end of what it wrote as faults. */
  readonly message: string;
}

/** Limits of a program. */
export interface Limits {
  readonly timeoutMs?: number;
  readonly memoryBytes?: number;
  /** Of all that it writes. */
  readonly diskBytes?: number;
  readonly signal?: AbortSignal | undefined;
  /** What runs it; Node, or `python3`, if not given. */
  readonly interpreter?: string;
}

/** Files that a program may write. */
const MOST_FILES = 2000;
/** Characters of faults that are kept. */
const KEPT = 2000;

/**
 * Runs a program in a process of its own that reads and writes in an empty folder only, reaches no network, starts no process, and ends when its time,
 * its memory or its room on the disk is up, also where we are killed meanwhile. JavaScript runs under Node's permission model, Python (`python3`) under an audit hook that cannot be removed; neither sees the
 * environment. A guard against what models write by accident: code by an attacker wants a virtual machine.
 *
 * @returns `absent` where there is no Python
 */
export async function runConfined(
  program: string,
  language: 'javascript' | 'python',
  { timeoutMs = 10_000, memoryBytes = 512e6, diskBytes = 256e6, signal, interpreter }: Limits = {},
): Promise<Confined> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tunesmith-code-')));
  try {
    const call = (language === 'python' ? pythonCall : nodeCall)(folder, program, memoryBytes);
    const { command, args } = mortal(interpreter === undefined ? call : { ...call, command: interpreter }, timeoutMs);
    const env = { PATH: process.platform === 'win32' ? '' : '/usr/local/bin:/usr/bin:/bin' };
    const child = spawn(command, args, {
      cwd: folder,
      env,
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
    });
    const isOver = () => {
      if (residentBytes(child.pid) > memoryBytes) return 'memory';
      return isFull(folder, diskBytes) ? 'disk' : undefined;
    };
    return await watch(child, timeoutMs, isOver, signal);
  } finally {
    remove(folder);
  }
}

function watch(
  child: ChildProcess,
  timeoutMs: number,
  isOver: () => 'memory' | 'disk' | undefined,
  signal: AbortSignal | undefined,
): Promise<Confined> {
  let ended: Confined['outcome'] | undefined;
  let message = '';
  const stop = (why: Confined['outcome']) => {
    ended ??= why;
    killGroup(child);
  };
  child.stderr?.on('data', (chunk) => {
    message = `${message}${String(chunk)}`.slice(-KEPT);
  });
  const timer = setTimeout(() => stop('timeout'), timeoutMs);
  const limits = setInterval(() => {
    const over = isOver();
    if (over !== undefined) stop(over);
  }, 50);
  const abort = () => stop('failed');
  signal?.addEventListener('abort', abort);
  return new Promise((resolve) => {
    const finish = (outcome: Confined['outcome']) => {
      clearTimeout(timer);
      clearInterval(limits);
      signal?.removeEventListener('abort', abort);
      resolve({ outcome, message });
    };
    child.once('error', () => finish('absent'));
    child.once('close', (code) => {
      killGroup(child);
      // What the shell says of a program that it cannot find.
      const isAbsent = code === 127 && /: not found|No such file/.test(message);
      finish(ended ?? (code === 0 ? 'passed' : isAbsent ? 'absent' : 'failed'));
    });
  });
}

/** The process and all that it started. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** Resident memory where the system tells it; elsewhere the heap's own limit must do. */
function residentBytes(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;
  } catch {
    return 0;
  }
}

/** Whether a folder holds more than it may. */
function isFull(folder: string, limit: number): boolean {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    if (entries.length > MOST_FILES) return true;
    const files = entries.filter((entry) => entry.isFile());
    return files.reduce((n, { parentPath, name }) => n + statSync(join(parentPath, name)).size, 0) > limit;
  } catch {
    // It is writing, or gone.
    return false;
  }
}

interface Call {
  readonly command: string;
  readonly args: readonly string[];
}

/** A program that its shell gives so many seconds of computing: where we are killed, nobody else would end it. Several threads compute at once. */
function mortal({ command, args }: Call, timeoutMs: number): Call {
  if (process.platform === 'win32') return { command, args };
  const seconds = 5 + 4 * Math.ceil(timeoutMs / 1000);
  return { command: '/bin/sh', args: ['-c', `ulimit -t ${seconds}; exec "$0" "$@"`, command, ...args] };
}

function nodeCall(folder: string, program: string, memoryBytes: number): Call {
  const guard = join(folder, 'guard.cjs');
  const main = join(folder, 'main.mjs');
  writeFileSync(guard, NODE_GUARD);
  writeFileSync(main, `${program}\n`);
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const args = [
    permission,
    `--allow-fs-read=${folder}`,
    `--allow-fs-write=${folder}`,
    `--max-old-space-size=${Math.floor(memoryBytes / 2e6)}`,
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=SecurityWarning',
    '--require',
    guard,
    main,
  ];
  return { command: process.execPath, args };
}

/** Node's permission model leaves the network open in versions before 25. */
const NODE_GUARD = `'use strict';
const no = () => { throw new Error('no network here'); };
const net = require('node:net'), dgram = require('node:dgram'), dns = require('node:dns');
net.Socket.prototype.connect = no; net.Server.prototype.listen = no;
for (const name of ['bind', 'connect', 'send']) dgram.Socket.prototype[name] = no;
for (const at of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype])
  for (const name of Object.getOwnPropertyNames(at)) if (/^(lookup|resolve|reverse)/.test(name)) at[name] = no;
for (const name of ['fetch', 'WebSocket', 'EventSource']) globalThis[name] = no;
process.kill = process.abort = no;
`;

function pythonCall(folder: string, program: string, memoryBytes: number): Call {
  const main = join(folder, 'main.py');
  writeFileSync(main, `${program}\n`);
  const guard = join(folder, 'guard.py');
  writeFileSync(guard, PYTHON_GUARD);
  const args = ['-I', '-S', '-B', guard, folder, main, String(memoryBytes)];
  return { command: process.platform === 'win32' ? 'python' : 'python3', args };
}

const PYTHON_GUARD = `import sys, os
folder, main, memory = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
except Exception:
    pass
with open(main, encoding='utf-8') as file:
    code = compile(file.read(), 'main.py', 'exec')
roots = tuple(os.path.realpath(p) for p in sys.path if p) + (os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix))
folder = os.path.realpath(folder)
def inside(path, places):
    if isinstance(path, int):
        return False
    path = os.path.realpath(os.fsdecode(path))
    return any(path == place or path.startswith(place + os.sep) for place in places)
WRITES = {'os.remove', 'os.rename', 'os.rmdir', 'os.mkdir', 'os.link', 'os.symlink', 'os.truncate', 'os.chmod', 'os.chown', 'os.utime', 'shutil.rmtree', 'shutil.move', 'shutil.copyfile'}
BANNED = ('socket.', 'subprocess.', 'ctypes.', 'os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.fork', 'os.kill', 'os.putenv', 'pty.', 'signal.pthread_kill', 'resource.', 'mmap.', 'webbrowser.', 'ftplib.', 'urllib.', 'http.', 'smtplib.')
def hook(event, args):
    if event == 'open':
        path, mode, flags = args
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)) if isinstance(flags, int) else True
        if not inside(path, (folder,) if writes else (folder,) + roots):
            raise PermissionError('outside the folder: ' + str(path))
    elif event in WRITES:
        for path in args:
            if isinstance(path, (str, bytes, os.PathLike)) and not inside(path, (folder,)):
                raise PermissionError('outside the folder: ' + str(path))
    elif event in ('os.listdir', 'os.scandir', 'os.chdir') and args and args[0] is not None and not inside(args[0], (folder,) + roots):
        raise PermissionError('outside the folder: ' + str(args[0]))
    elif event.startswith(BANNED):
        raise PermissionError(event + ' is not allowed')
os.chdir(folder)
sys.argv = ['main.py']
sys.addaudithook(hook)
exec(code, {'__name__': '__main__'})
`;
