import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { needs } from '../../support/needs.ts';
import { canRunGuests, runGuestCommand } from './guest.ts';

const TIMEOUT = { timeout: 30_000 };

/** A program at a terminal of its own, as a person sees it: what is typed is typed after what was waited for. */
class Terminal {
  #shown = '';
  readonly #program: ChildProcess;
  #changed: () => void = () => {};
  readonly ended: Promise<number | null>;

  constructor(t: TestContext, argv: readonly string[]) {
    const line = argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    // Without exec a shell of script's own may stay at the terminal: dash does, and dies by the signals meant for
    // COMMAND.
    const command = `exec ${line}`;
    const program = spawn('script', ['--quiet', '--return', '--echo', 'always', '--command', command, '/dev/null']);
    this.#program = program;
    t.after(() => {
      program.kill('SIGKILL');
    });
    program.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#shown += text;
      this.#changed();
    });
    this.ended = new Promise((resolve) => {
      program.on('close', (code) => resolve(code));
    });
  }

  /** What was shown up to and with `wanted`, which is then behind us. */
  async see(wanted: string): Promise<string> {
    while (!this.#shown.includes(wanted)) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    const end = this.#shown.indexOf(wanted) + wanted.length;
    const seen = this.#shown.slice(0, end);
    this.#shown = this.#shown.slice(end);
    return seen;
  }

  type(text: string): void {
    this.#program.stdin!.write(text);
  }
}

function canUseTerminals(t: TestContext): boolean {
  return canRunGuests(t) && needs(t, 'script', 'bash');
}

/**
 * Says when it runs and when it runs again: what is typed between a shell's own lines and that would be the shell's.
 */
const READER =
  'process.stdin.on("data", (line) => console.log("got-" + String(line).trim())).on("end", () => process.exit(4)); ' +
  'process.on("SIGCONT", () => console.log("continued")); console.log("up")';

const ENV = { PATH: process.env.PATH, PS1: 'guest> ', TERM: 'dumb' };
const SHELL = ['bash', '--norc', '--noprofile', '-i'];

test('an interactive shell has its terminal and job control, without a complaint', TIMEOUT, async (t) => {
  if (!canUseTerminals(t)) return;
  const terminal = new Terminal(t, runGuestCommand(SHELL, { env: ENV }));
  assert.equal(await terminal.see('guest> '), 'guest> ');
  terminal.type(`${process.execPath} -e '${READER}'\n`);
  await terminal.see('\nup');
  terminal.type('\x1a');
  await terminal.see('Stopped');
  await terminal.see('guest> ');
  terminal.type('fg\n');
  await terminal.see('\ncontinued');
  terminal.type('\x03');
  await terminal.see('guest> ');
  terminal.type('echo st-$?; exit 6\n');
  await terminal.see('st-130');
  assert.equal(await terminal.ended, 6);
});

test('Ctrl-C reaches COMMAND once, and the outer process lives to report its end', TIMEOUT, async (t) => {
  if (!canUseTerminals(t)) return;
  const program =
    "let n = 0; process.on('SIGINT', () => console.log('int-' + ++n)); process.on('SIGQUIT', () => process.exit(8)); " +
    "setInterval(() => {}, 1e6); console.log('up')";
  const terminal = new Terminal(t, runGuestCommand([process.execPath, '-e', program]));
  await terminal.see('up');
  for (const count of ['int-1\r', 'int-2\r', 'int-3\r']) {
    terminal.type('\x03');
    await terminal.see(count);
  }
  terminal.type('\x1c');
  assert.equal(await terminal.ended, 8);
});

test('Ctrl-Z stops the job of the shell outside, and fg continues it', TIMEOUT, async (t) => {
  if (!canUseTerminals(t)) return;
  const terminal = new Terminal(t, ['env', 'PS1=outer> ', 'TERM=dumb', ...SHELL]);
  await terminal.see('outer> ');
  const line = runGuestCommand([process.execPath, '-e', READER])
    .map((word) => `'${word}'`)
    .join(' ');
  terminal.type(`${line}\n`);
  await terminal.see('\nup');
  terminal.type('one\n');
  await terminal.see('\ngot-one');
  terminal.type('\x1a');
  await terminal.see('Stopped');
  await terminal.see('outer> ');
  terminal.type('fg\n');
  await terminal.see('\ncontinued');
  terminal.type('two\n');
  await terminal.see('\ngot-two');
  terminal.type('\x04');
  await terminal.see('outer> ');
  terminal.type('exit $?\n');
  assert.equal(await terminal.ended, 4);
});

test('after a shell took the terminal and died, the program outside can read again', TIMEOUT, async (t) => {
  if (!canUseTerminals(t)) return;
  const terminal = new Terminal(t, [
    'sh',
    '-c',
    '"$@"; read -r word; echo "read-$word"',
    'sh',
    ...runGuestCommand(SHELL, { env: ENV }),
  ]);
  await terminal.see('guest> ');
  terminal.type('exit\n');
  await terminal.see('exit');
  terminal.type('hello\n');
  await terminal.see('read-hello');
  assert.equal(await terminal.ended, 0);
});
