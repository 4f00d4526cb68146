/**
 * The first process of a guest's namespaces: a program of its own, started by the launcher through `unshare`, never
 * imported.
 *
 * It makes the tap and sets it up, mounts COMMAND's view of the files, passes the tap out and waits. On `proceed` it
 * starts COMMAND, then only reaps orphans (it is process 1 of its namespace), passes signals on, and reports COMMAND's
 * end. It ends by _exit the moment COMMAND has ended or the launcher is gone; the kernel then kills whatever else lives
 * in the process namespace. Signals sent to it are ignored, as for every process 1; those of a terminal reach COMMAND
 * by themselves, because both are in the launcher's process group.
 *
 * It holds none of COMMAND's streams as its own 0 to 2: Node would set terminal modes and O_NONBLOCK on them. What it
 * writes to its standard error is a diagnosis that the launcher reads when init fails. It imports little: it is on the
 * path to the first packet.
 */
import { closeSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { SlipwayError } from '../../facts/errors.ts';
import { addDefaultRoute, configureInterface, openTap } from './ioctl.ts';
import { O_NONBLOCK } from '../socket-numbers.ts';
import { close, declare, exitNow, kill, WNOHANG, waitpid, watch } from './libc.ts';
import {
  DESCRIPTION_FD,
  type GuestDescription,
  hear,
  type InitEvent,
  type LauncherRequest,
  SOCKET_FD,
  STANDARD_FDS,
  say,
} from './mail.ts';
import { keepResolvConf, mountGuestView } from './mounts.ts';
import { openSocketTable, serveSockets } from './socket-source.ts';
import { spawn } from './spawn.ts';

const fcntl: (fd: number, command: number, argument: number) => number = declare(
  'int fcntl(int fd, int command, long argument)',
);
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;

/** COMMAND's standard streams: from where init keeps them to where they belong. */
const STREAMS = STANDARD_FDS.map((fd, target) => [fd, target] as const);

/** The process id of COMMAND; 0 before it is started. */
let commandPid = 0;

function main(): void {
  for (const fd of [SOCKET_FD, DESCRIPTION_FD, ...STANDARD_FDS]) fcntl(fd, F_SETFD, FD_CLOEXEC);
  // Node would open its inspector on this signal.
  process.on('SIGUSR1', () => {});
  process.on('SIGCHLD', reap);
  const guest: GuestDescription = JSON.parse(readFileSync(DESCRIPTION_FD, 'utf8'));
  closeSync(DESCRIPTION_FD);
  setUp(guest);
  watch(SOCKET_FD, () => listen(guest));
}

/** The namespace is complete and the launcher has the tap when this returns; init keeps no descriptor of it. */
function setUp(guest: GuestDescription): void {
  const { tapName, mac, mtu, txQueueLength, address, prefix } = guest;
  const tap = openTap({ name: tapName, vnetHeader: true });
  silenceIpv6(tapName);
  configureInterface('lo', {});
  configureInterface(tapName, { mac, mtu, txQueueLength, address, prefix });
  addDefaultRoute(tapName, guest.gateway);
  keepResolvConf(guest.resolvConf, mountGuestView(guest.resolvConf));
  process.chdir(guest.cwd);
  handOverSockets();
  say(SOCKET_FD, { kind: 'ready', offloads: tap.offloads }, tap.fd);
  close(tap.fd);
}

/** What a process outside needs to know who listens in this network, and to connect from within it. */
function handOverSockets(): void {
  const table = openSocketTable();
  if (table === undefined) return;
  say(SOCKET_FD, { kind: 'socket-table' }, table);
  close(table);
  const source = serveSockets();
  say(SOCKET_FD, { kind: 'socket-source' }, source);
  close(source);
}

/** The network speaks IPv4: without this the kernel solicits routers that are not there. */
function silenceIpv6(tapName: string): void {
  const setting = `/proc/sys/net/ipv6/conf/${tapName}/disable_ipv6`;
  if (existsSync(setting)) writeFileSync(setting, '1');
}

function listen(guest: GuestDescription): void {
  for (;;) {
    const heard = hear<LauncherRequest>(SOCKET_FD);
    if (heard === undefined) return;
    if (heard === 'end') exitNow(0);
    else if (heard.mail.kind === 'signal') passOn(heard.mail.signal);
    else if (commandPid === 0) startCommand(guest);
  }
}

function passOn(signal: number): void {
  if (commandPid === 0) finish({ kind: 'killed', signal });
  else kill(commandPid, signal);
}

function startCommand({ path, argv, env, ignoresHangup }: GuestDescription): void {
  const ignored = ignoresHangup ? [constants.signals.SIGHUP] : [];
  // A stream library of the launcher may have left this on descriptions that COMMAND shares.
  for (const fd of STANDARD_FDS) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
  let started = spawn({ path, argv, env, descriptors: STREAMS, ignored });
  // A script without a #! line: the shells' own custom.
  if (started === 'ENOEXEC') {
    started = spawn({ path: '/bin/sh', argv: ['sh', path, ...argv.slice(1)], env, descriptors: STREAMS, ignored });
  }
  if (typeof started === 'string') {
    finish({
      kind: 'failed',
      code: started === 'ENOENT' ? 'ERR_COMMAND_NOT_FOUND' : 'ERR_COMMAND_NOT_EXECUTABLE',
      message: `${argv[0]} cannot be started: ${started}.`,
      hint: started === 'ENOENT' ? `Check that ${path} and the interpreter that it names exist.` : '',
    });
    return;
  }
  commandPid = started;
  for (const fd of STANDARD_FDS) close(fd);
  reap();
}

function reap(): void {
  const status = new Int32Array(1);
  for (;;) {
    const pid = waitpid(-1, status, WNOHANG);
    if (pid <= 0) return;
    if (pid !== commandPid) continue;
    const signal = status[0]! & 0x7f;
    finish(signal === 0 ? { kind: 'exited', code: (status[0]! >> 8) & 0xff } : { kind: 'killed', signal });
  }
}

function finish(last: InitEvent): void {
  say(SOCKET_FD, last);
  exitNow(0);
}

try {
  main();
} catch (error) {
  const known = error instanceof SlipwayError && error.code !== 'ERR_SYSTEM_CALL';
  const message = error instanceof Error ? error.message : String(error);
  finish({
    kind: 'failed',
    code: known ? error.code : 'ERR_NAMESPACE_SETUP',
    message: known ? message : `The namespace of the guest could not be set up: ${message}.`,
    hint: known ? error.hint : '',
  });
}
