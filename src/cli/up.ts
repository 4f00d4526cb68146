import type { ForwardJson } from '../api/v1/contract.ts';
import type { ControlApi } from '../api/server/control-api.ts';
import { EventFeed } from '../api/v1/event-feed.ts';
import { forwardJson } from '../api/v1/forward-json.ts';
import { guestApiServices } from '../api/gvproxy/guest-api-service.ts';
import type { Config } from '../config/config.ts';
import { SlipwayError } from '../facts/errors.ts';
import { type ForwardStatus, forwardId } from '../config/forward.ts';
import { type AttachmentUrl, attachmentKind, guestArguments } from '../config/listen.ts';
import type { LogLevel } from '../config/log.ts';
import { stateFolder } from '../config/state.ts';
import type { Listening } from '../control/thread-engine.ts';
import { stopOnSignals } from '../control/signals.ts';
import { type RunningNetwork, startNetwork } from '../control/start-network.ts';
import { formatCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { DockerEngines } from '../control/docker-engines.ts';
import { usualControlSocket, usualDockerSocket } from './control-place.ts';
import { forwardShown } from './forwards-shown.ts';
import { daemonLog } from './logs.ts';
import { configOf, type NetworkFlags } from './options.ts';
import { describeError } from './print-error.ts';
import { type PublishFlags, publish, publishedBy } from './published.ts';
import { Reload } from './reload.ts';
import { note, STANDARD_OUTPUT, say } from './say.ts';
import { serveControl } from './serve-control.ts';
import { version } from './version.ts';

export interface UpFlags extends NetworkFlags, PublishFlags {
  readonly json?: boolean;
}

/** EX_SOFTWARE of sysexits.h. */
const STATUS_DEFECT = 70;

/**
 * `slipway up`: the daemon in the foreground. Settles when it is up; the process then lives until a signal ends it.
 */
export async function up(flags: UpFlags): Promise<void> {
  const published = publishedBy(flags);
  const read = (): Promise<Config> =>
    configOf(flags, { state: stateFolder(process.env), control: { socket: usualControlSocket() } });
  // Before anything is there: what the default action ends leaves sockets of forwards behind, and a reload asked for
  // meanwhile is due when the daemon stands.
  let stop = async (): Promise<void> => {};
  let isReloadDue = false;
  let reload = (): void => {
    isReloadDue = true;
  };
  stopOnSignals(() => stop(), { status: 0, reload: () => reload() });
  const config = await read();
  const events = new EventFeed();
  const output = await daemonLog(config.log.level, flags.json === true);
  const log = events.listeningTo(output);
  const onFatal = (error: SlipwayError): void => {
    note(describeError(error));
    process.exit(STATUS_DEFECT);
  };
  const network = await startNetwork(config, log, onFatal, guestApiServices(config.api), published);
  const stands: Standing = { network, listening: [], forwards: [] };
  let engines: DockerEngines | undefined;
  const docker = async (): Promise<DockerEngines> => {
    // Loaded only when there is an engine: zod comes with it.
    const { DockerEngines } = await import('../control/docker-engines.ts');
    engines ??= new DockerEngines({ network, log, usualSocket: usualDockerSocket() });
    return engines;
  };
  stop = async () => {
    stands.api?.close();
    await engines?.stop();
    await network.stop();
  };
  try {
    const attachments = new Map<string, string>();
    // First, because a daemon that is there already says so.
    stands.api = await serveControl(network, {
      config: config.control,
      log,
      events,
      attachments: () => [...attachments.values()],
    });
    // Guests come there too, by gvproxy's /connect.
    if (config.listen.length === 0 && stands.api === undefined) throw nowhere();
    const attach = async (url: AttachmentUrl): Promise<void> => {
      const listening = await network.control.attachments.listen(url);
      stands.listening.push(listening);
      attachments.set(url.text, place(url.text, listening));
    };
    const detach = async (url: AttachmentUrl): Promise<void> => {
      await network.control.attachments.end(url);
      attachments.delete(url.text);
    };
    const setLogLevel = (level: LogLevel): void => {
      output.setLevel(level);
      network.control.logChanged();
    };
    for (const url of config.listen) await attach(url);
    stands.forwards.push(...chosenByHost(network).map(forwardJson));
    for (const spec of published) stands.forwards.push(forwardJson(await publish(network, spec)));
    for (const engine of config.docker) await (await docker()).add(engine);
    const reloading = new Reload({ config, read, network, docker, attach, detach, setLogLevel, log });
    reload = () => void reloading.again();
    if (isReloadDue) reload();
  } catch (error) {
    await stop();
    throw error;
  }
  say(STANDARD_OUTPUT, flags.json === true ? asJson(stands) : asText(stands));
}

function nowhere(): SlipwayError {
  return new SlipwayError(
    'ERR_USAGE',
    'there is nowhere for guests to attach',
    'Say where, for instance: slipway up --listen qemu+unix:///tmp/slipway.sock (or give it a control socket, where they can attach too).',
  );
}

/**
 * Forwards of the configuration whose port it leaves to the host. From then on they are like others, so those are what
 * the others leave.
 */
function chosenByHost({ config, forwards }: RunningNetwork): readonly ForwardStatus[] {
  const given = config.forwards.filter(
    ({ host }) => host.kind === 'unix' || (host.lastPort ?? host.port) === host.port,
  );
  const ids = new Set(given.map(forwardId));
  return forwards.ownedBy('config').filter(({ id }) => !ids.has(id));
}

/** What runs once the daemon is up. */
interface Standing {
  readonly network: RunningNetwork;
  readonly listening: Listening[];
  /** Of the flags, and of the configuration where only the host knows the port. */
  readonly forwards: ForwardJson[];
  api?: ControlApi | undefined;
}

function asText({ network, listening, forwards, api }: Standing): string {
  const { config, engine, descriptors } = network;
  const { subnet, gateway, hostAddress, mtu } = config.network;
  const { flows, dialsInFlight, udpMappings, guests } = config.limits;
  const host = `${formatIpv4Address(hostAddress)}${config.hostLoopback ? " reaches this computer's 127.0.0.1" : ' is closed'}`;
  const places = config.listen.flatMap((url, index) => [
    `${url.connect ? 'dialling' : 'listening at'} ${place(url.text, listening[index])}`,
    `  ${attachmentKind(url).programs}: ${guestArguments(url, listening[index]?.port)}`,
  ]);
  return `${[
    `slipway ${version()}: network ${formatCidr(subnet)}, gateway and DNS ${formatIpv4Address(gateway)}, ${host}, MTU ${mtu}`,
    `engine ${engine}; up to ${flows} flows, ${dialsInFlight} dials, ${udpMappings} UDP mappings, ${guests} guests (RLIMIT_NOFILE ${descriptors})`,
    ...places,
    ...(places.length === 0 ? ['guests attach at the control socket, by /connect'] : []),
    ...forwards.map((forward) => `publishing ${forwardShown(forward)}`),
    ...(api === undefined ? [] : [controlLine(api)]),
    `process ${process.pid}; Ctrl-C ends it`,
  ].join('\n')}\n`;
}

function controlLine({ socket, tcp, tokenFile }: ControlApi): string {
  const places = [socket, ...(tcp === '' ? [] : [`http://${tcp} with the token in ${tokenFile}`])];
  return `control at ${places.filter((one) => one !== '').join(' and ')}`;
}

function asJson({ network, listening, forwards, api }: Standing): string {
  const { config, engine, descriptors } = network;
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
      [attachmentKind(url).program]: guestArguments(url, listening[index]?.port),
    })),
    forwards,
    control: api === undefined ? null : { socket: api.socket, tcp: api.tcp, tokenFile: api.tokenFile },
  })}\n`;
}

/** The URL, with the port that the host chose where the person wrote 0. */
function place(text: string, listening: Listening | undefined): string {
  return listening !== undefined && listening.port > 0 ? text.replace(/:0\/?$/, `:${listening.port}`) : text;
}
