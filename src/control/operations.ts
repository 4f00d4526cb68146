import { QEMU_UNIX } from '../attachment/kinds/qemu-unix.ts';
import type { ServiceForward } from '../config/forward.ts';
import { type AttachmentUrl, attachmentKind } from '../config/listen.ts';
import type { LeaseRecord } from '../dhcp/lease-record.ts';
import type { HostErrorCode } from '../env/host.ts';
import type { ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import type { CoreNetwork } from '../network/core-network.ts';
import { type FlowName, type FlowStatus, flowsOf, killFlow } from './flow-status.ts';
import { type GuestStreamRequest, openGuestStream } from './guest-stream.ts';
import { leasesInForce, type NetworkStatus, statusOf } from './network-status.ts';
import { type OwnPlace, ownListener } from './own-places.ts';
import { replaceSocketServices, serviceRoute } from './socket-services.ts';
import type { Listening, ListenRequest, StreamGuest, TapGuest, ThreadEngine } from './thread-engine.ts';

/**
 * All requests of the control thread to the network thread: a name, and what the network thread does. The types of the
 * request and of the answer are those of the function; both cross threads, so they are plain data. A function that
 * throws or rejects refuses the request: `message`, `code` and `hint` of a SlipwayError arrive, of any other error only
 * the message.
 *
 * What is known only later is a promise. It settles under both engines (`ThreadEngine.run`).
 */
export const OPERATIONS = {
  listen(network: CoreNetwork, engine: ThreadEngine, request: ListenRequest): Listening | Promise<Listening> {
    const { url, heardUntilMs = 0 } = request;
    const heard = (): boolean => performance.timeOrigin + performance.now() < heardUntilMs;
    const kind = attachmentKind(url);
    const listening = engine.listen(request, kind, (pipe) => network.attach(kind, pipe, url.text, { heard: heard() }));
    // No guest gets to where guests attach: known from the same moment on, so a promise is not waited for where there
    // is none.
    if (listening instanceof Promise) return listening.then((place) => ownListening(network, url, place));
    return ownListening(network, url, listening);
  },

  /** The place of a `listen` that was answered with `port`. Guests that attached there stay. */
  unlisten(
    network: CoreNetwork,
    engine: ThreadEngine,
    { url, port }: { readonly url: AttachmentUrl; readonly port: number },
  ): void {
    engine.unlisten(url);
    if (!url.connect) network.removeOwnListener(ownListener(placeOf(url, port)));
  },

  attachTap(network: CoreNetwork, engine: ThreadEngine, tap: TapGuest): void {
    engine.attachTap(tap, (pipe, sockets) => network.attachTap(pipe, tap.name, tap.offloads, { sockets }));
  },

  /** A guest that is connected already. */
  attachStream(network: CoreNetwork, engine: ThreadEngine, { fd, name }: StreamGuest): void {
    engine.own(fd);
    engine.attachStream(fd, (pipe) => network.attach(QEMU_UNIX, pipe, name, { heard: false }));
  },

  /** Beside the attachments. */
  addOwnPlaces(network: CoreNetwork, _engine: ThreadEngine, places: readonly OwnPlace[]): void {
    for (const place of places) network.addOwnListener(ownListener(place));
  },

  /** Of guests that have an address without asking for it: no one else gets it. */
  reserveLeases(
    network: CoreNetwork,
    _engine: ThreadEngine,
    leases: readonly Pick<LeaseRecord, 'mac' | 'address'>[],
  ): void {
    for (const { mac, address } of leases) network.reserveLease(mac, address);
  },

  /**
   * What an earlier thread or process gave. Answered with the addresses whose leases are in force now: not all that was
   * given fits the configuration, or has not ended since.
   */
  restoreLeases(network: CoreNetwork, _engine: ThreadEngine, leases: readonly LeaseRecord[]): readonly number[] {
    network.restoreLeases(leases);
    return leasesInForce(network).map(({ address }) => address);
  },

  /**
   * Takes bound sockets over and begins to listen on them. The answer is the state of the forward, or the host's error.
   */
  openForward(
    network: CoreNetwork,
    _engine: ThreadEngine,
    forward: ForwardRequest,
  ): Promise<ForwardReport | HostErrorCode> {
    return new Promise((resolve) => network.openForward(forward, resolve));
  },

  /** Established connections live on unless `connections`. An id that is not open is no error. */
  closeForward(
    network: CoreNetwork,
    _engine: ThreadEngine,
    { id, connections }: { readonly id: number; readonly connections: boolean },
  ): void {
    network.closeForward(id, connections);
  },

  /** In order of id. */
  forwards(network: CoreNetwork): readonly ForwardReport[] {
    return network.forwards();
  },

  /** All gateway ports and virtual addresses from now on. */
  setServices(network: CoreNetwork, engine: ThreadEngine, services: readonly ServiceForward[]): void {
    replaceSocketServices(engine.services, services);
    network.setServices(services.map(serviceRoute));
  },

  /**
   * Answered when the guest has accepted; else refused with ERR_GUEST_REFUSED, ERR_GUEST_UNREACHABLE or
   * ERR_GUEST_TIMEOUT.
   */
  openGuestStream(network: CoreNetwork, engine: ThreadEngine, stream: GuestStreamRequest): Promise<void> {
    engine.own(stream.fd);
    return openGuestStream(network, stream);
  },

  /** TCP first, then UDP. */
  flows(network: CoreNetwork, _engine: ThreadEngine, { limit }: { readonly limit: number }): readonly FlowStatus[] {
    return flowsOf(network, limit);
  },

  /** Ends it with a reset on both sides. Answered with whether there was such a flow. */
  killFlow(network: CoreNetwork, _engine: ThreadEngine, flow: FlowName): boolean {
    return killFlow(network, flow);
  },

  status(network: CoreNetwork): NetworkStatus {
    return statusOf(network);
  },
};

function ownListening(network: CoreNetwork, url: AttachmentUrl, listening: Listening): Listening {
  if (!url.connect) network.addOwnListener(ownListener(placeOf(url, listening.port)));
  return listening;
}

/** Where an attachment listens, at the port that it really has. */
function placeOf({ target }: AttachmentUrl, port: number): OwnPlace {
  return target.kind === 'unix' ? target : { kind: 'port', protocol: 'tcp', address: target.address, port };
}

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;

/** The request, as the rest of an argument list: nothing for an operation that takes none. */
export type RequestOf<N extends OperationName> =
  Parameters<Operations[N]> extends [unknown, unknown, infer R] ? [request: R] : [];

export type AnswerOf<N extends OperationName> = Awaited<ReturnType<Operations[N]>>;
