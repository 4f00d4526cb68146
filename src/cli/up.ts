import { SlipwayError } from '../config/errors.ts';
import { qemuArguments } from '../config/listen-url.ts';
import { stateFolder } from '../config/state-folder.ts';
import type { Listening } from '../control/messages.ts';
import { endOnSignals } from '../control/signals.ts';
import { type RunningNetwork, startNetwork } from '../control/start-network.ts';
import { formatCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { daemonLog } from './logs.ts';
import { configOf, type NetworkFlags } from './options.ts';
import { describeError } from './print-error.ts';
import { STANDARD_ERROR, STANDARD_OUTPUT, say } from './say.ts';
import { version } from './version.ts';

export interface UpFlags extends NetworkFlags {
  readonly json?: boolean;
}

/** EX_SOFTWARE of sysexits.h. */
const STATUS_DEFECT = 70;

/** `slipway up`: the daemon in the foreground. Settles when it stands; the process then lives until a signal ends it. */
export async function up(flags: UpFlags): Promise<void> {
  const config = await configOf(flags, { state: stateFolder(process.env) });
  if (config.listen.length === 0) {
    throw new SlipwayError(
      'ERR_USAGE',
      'there is nowhere for guests to attach',
      'Say where, for instance: slipway up --listen qemu+unix:///tmp/slipway.sock',
    );
  }
  const log = await daemonLog(config.log.level, flags.json === true);
  const network = await startNetwork(config, log, (error) => {
    say(STANDARD_ERROR, describeError(error));
    process.exit(STATUS_DEFECT);
  });
  endOnSignals(() => network.stop());
  const listening: Listening[] = [];
  try {
    for (const url of config.listen) listening.push(await network.control.listen(url));
  } catch (error) {
    await network.stop();
    throw error;
  }
  say(STANDARD_OUTPUT, flags.json === true ? asJson(network, listening) : asText(network, listening));
}

function asText({ config, engine, descriptors }: RunningNetwork, listening: readonly Listening[]): string {
  const { subnet, gateway, hostAddress, mtu } = config.network;
  const { flows, dialsInFlight, udpMappings, guests } = config.limits;
  const host = `${formatIpv4Address(hostAddress)}${config.hostLoopback ? " reaches this computer's 127.0.0.1" : ' is closed'}`;
  const places = config.listen.flatMap((url, index) => [
    `${url.connect ? 'dialling' : 'listening at'} ${place(url.text, listening[index])}`,
    `  QEMU 7.2 and later: ${qemuArguments(url, listening[index]?.port)}`,
  ]);
  return `${[
    `slipway ${version()}: network ${formatCidr(subnet)}, gateway and DNS ${formatIpv4Address(gateway)}, ${host}, MTU ${mtu}`,
    `engine ${engine}; up to ${flows} flows, ${dialsInFlight} dials, ${udpMappings} UDP mappings, ${guests} guests (RLIMIT_NOFILE ${descriptors})`,
    ...places,
    `process ${process.pid}; Ctrl-C ends it`,
  ].join('\n')}\n`;
}

function asJson({ config, engine, descriptors }: RunningNetwork, listening: readonly Listening[]): string {
  const { subnet, gateway, hostAddress, mtu } = config.network;
  return `${JSON.stringify({
    event: 'up',
    version: version(),
    pid: process.pid,
    subnet: formatCidr(subnet),
    gateway: formatIpv4Address(gateway),
    hostAddress: formatIpv4Address(hostAddress),
    hostLoopback: config.hostLoopback,
    mtu,
    engine,
    limits: config.limits,
    descriptors,
    attachments: config.listen.map((url, index) => ({
      url: place(url.text, listening[index]),
      connect: url.connect,
      qemu: qemuArguments(url, listening[index]?.port),
    })),
  })}\n`;
}

/** The URL, with the port that the host chose where the person wrote 0. */
function place(text: string, listening: Listening | undefined): string {
  return listening !== undefined && listening.port > 0 ? text.replace(/:0\/?$/, `:${listening.port}`) : text;
}
