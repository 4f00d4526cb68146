/**
 * Starting a program with posix_spawn(3), which can do what Node's child_process cannot: a chosen signal mask, default
 * dispositions (Node leaves SIGPIPE and SIGXFSZ ignored in what it starts), and the caller's own streams untouched.
 */
import { SlipwayError } from '../../facts/errors.ts';
import { addressOf, check, declare, errnoName } from './libc.ts';

/**
 * Room for posix_spawnattr_t (336 bytes), posix_spawn_file_actions_t (80) and sigset_t (128) of glibc; musl's are
 * smaller.
 */
const OPAQUE_BYTES = 512;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;

const posixSpawn: (
  pid: Int32Array,
  path: string,
  actions: Uint8Array,
  attributes: Uint8Array,
  argv: Uint8Array,
  envp: Uint8Array,
) => number = declare(
  'int posix_spawn(void *pid, const char *path, void *actions, void *attributes, void *argv, void *envp)',
);
const attributesInit: (attributes: Uint8Array) => number = declare('int posix_spawnattr_init(void *attributes)');
const setFlags: (attributes: Uint8Array, flags: number) => number = declare(
  'int posix_spawnattr_setflags(void *attributes, short flags)',
);
const setDefaults: (attributes: Uint8Array, signals: Uint8Array) => number = declare(
  'int posix_spawnattr_setsigdefault(void *attributes, void *signals)',
);
const setMask: (attributes: Uint8Array, signals: Uint8Array) => number = declare(
  'int posix_spawnattr_setsigmask(void *attributes, void *signals)',
);
const actionsInit: (actions: Uint8Array) => number = declare('int posix_spawn_file_actions_init(void *actions)');
const actionsDestroy: (actions: Uint8Array) => number = declare('int posix_spawn_file_actions_destroy(void *actions)');
const addDup2: (actions: Uint8Array, from: number, to: number) => number = declare(
  'int posix_spawn_file_actions_adddup2(void *actions, int from, int to)',
);
const signalsEmpty: (signals: Uint8Array) => number = declare('int sigemptyset(void *signals)');
const signalsFill: (signals: Uint8Array) => number = declare('int sigfillset(void *signals)');
const signalsAdd: (signals: Uint8Array, signal: number) => number = declare('int sigaddset(void *signals, int signal)');
const signalsDelete: (signals: Uint8Array, signal: number) => number = declare(
  'int sigdelset(void *signals, int signal)',
);
const setSignal: (signal: number, handler: number) => number = declare('intptr_t signal(int signal, intptr_t handler)');
const SIG_IGN = 1;

export interface SpawnOptions {
  /** The program's own path; nothing is searched. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * [source here, target in the child], duplicated in this order: a target must not be a later pair's source, nor its
   * own. All else that is not close-on-exec is inherited.
   */
  readonly descriptors: readonly (readonly [number, number])[];
  /** Signal numbers that the child starts with blocked; none otherwise. */
  readonly blocked?: readonly number[];
  /** Those that it starts with ignored; the caller ignores them from here on, too. */
  readonly ignored?: readonly number[];
}

/** Starts the program and returns its process id, or the name of the errno that kept it from starting. */
export function spawn({ path, argv, env, descriptors, blocked = [], ignored = [] }: SpawnOptions): number | string {
  const attributes = Buffer.alloc(OPAQUE_BYTES);
  const actions = Buffer.alloc(OPAQUE_BYTES);
  const defaults = Buffer.alloc(OPAQUE_BYTES);
  const mask = Buffer.alloc(OPAQUE_BYTES);
  check('sigfillset', signalsFill(defaults));
  check('sigemptyset', signalsEmpty(mask));
  for (const signal of ignored) {
    setSignal(signal, SIG_IGN);
    check('sigdelset', signalsDelete(defaults, signal));
  }
  for (const signal of blocked) check('sigaddset', signalsAdd(mask, signal));
  expectZero(attributesInit(attributes));
  expectZero(setFlags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
  expectZero(setDefaults(attributes, defaults));
  expectZero(setMask(attributes, mask));
  expectZero(actionsInit(actions));
  try {
    for (const [source, target] of descriptors) expectZero(addDup2(actions, source, target));
    const pid = new Int32Array(1);
    const environment = Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const result = posixSpawn(pid, path, actions, attributes, vector(argv), vector(environment));
    return result === 0 ? pid[0]! : errnoName(result);
  } finally {
    actionsDestroy(actions);
  }
}

/** A zero-terminated array of pointers to zero-terminated strings, and the strings, in one buffer. */
function vector(strings: readonly string[]): Buffer {
  const encoded = strings.map((text) => Buffer.from(`${text}\0`));
  const table = (strings.length + 1) * 8;
  const pointers = Buffer.alloc(table + encoded.reduce((sum, bytes) => sum + bytes.length, 0));
  const base = addressOf(pointers);
  let at = table;
  for (const [index, bytes] of encoded.entries()) {
    pointers.writeBigUInt64LE(base + BigInt(at), index * 8);
    at += bytes.copy(pointers, at);
  }
  return pointers;
}

/** These calls return the errno itself, and fail only for want of memory. */
function expectZero(result: number): void {
  if (result !== 0)
    throw new SlipwayError('ERR_SYSTEM_CALL', `posix_spawn could not be prepared: ${errnoName(result)}`);
}
