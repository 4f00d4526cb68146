import type { ForwardOwner, ForwardSpec } from '../../config/forward.ts';
import type { Forwards } from '../../services/forward/forwards.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { openForward } from '../open-forward.ts';
import { type ExposeRequest, forwardOf, readExposeRequest, remoteOf } from './expose-request.ts';
import { type GoAnswer, goError, OK } from './go-answer.ts';
import { goEncode } from './go-json.ts';
import { joinHostPort } from './go-net.ts';
import { guestRefusal } from './guest-refusal.ts';

/** Each takes up to two descriptors, and every container of the guest may ask. */
const MAX_FORWARDS_OF_GUEST = 512;

/** Who asks. */
export interface Caller {
  /** Go's RemoteAddr: "192.168.65.3:40312", "@" for a client of a unix socket. */
  readonly remoteAddress: string;
  /** IPv4 of a guest, which may manage what it made itself and nothing else; undefined for whoever reaches the control API. */
  readonly guest: number | undefined;
}

/** A forward with the strings that it was asked for with: protocol and local string are its key. */
interface Exposed extends ExposeRequest {
  /** In the table. */
  readonly id: string;
  readonly owner: ForwardOwner;
}

/**
 * gvproxy's port forwarder: /services/forwarder/{all,expose,unexpose} on top of the table of forwards. Forwards that others made
 * (configuration, command line, Docker) are listed, a range port by port; those of one port can be removed too. One for all who ask.
 */
export class PortForwarder {
  readonly #forwards: Forwards;
  readonly #exposed = new Map<string, Exposed>();
  /** Keys of those that are being opened, with who asked. */
  readonly #opening = new Map<string, ForwardOwner>();

  constructor(forwards: Forwards) {
    this.#forwards = forwards;
    forwards.onChange(({ id }, removed) => {
      if (!removed) return;
      for (const [key, exposed] of this.#exposed) if (exposed.id === id) this.#exposed.delete(key);
    });
  }

  all({ guest }: Pick<Caller, 'guest'>): GoAnswer {
    const owner = guest === undefined ? undefined : ownerOf(guest);
    const shown = this.#list()
      .filter((one) => owner === undefined || one.owner === owner)
      .map(({ local, remote, protocol }) => ({ local, remote, protocol }))
      .sort((a, b) => compare(a.local, b.local) || compare(a.protocol, b.protocol));
    return { status: 200, body: goEncode(shown) };
  }

  async expose(body: Uint8Array, caller: Caller): Promise<GoAnswer> {
    const request = readExposeRequest(body);
    if ('status' in request) return request;
    const remote = remoteOf(request, caller.remoteAddress);
    if (typeof remote !== 'string') return remote;
    const owner = caller.guest === undefined ? 'gvproxy' : ownerOf(caller.guest);
    const { local, protocol } = request;
    const key = keyOf(request);
    if (this.#opening.has(key) || this.#find(key) !== undefined) {
      return goError(500, `proxy already running for ${protocol} on ${local}`);
    }
    const forbidden = caller.guest === undefined ? undefined : this.#forbidden(request, remote, caller.guest);
    if (forbidden !== undefined) return forbidden;
    const wanted = forwardOf(request, remote, owner);
    if ('status' in wanted) return wanted;
    this.#opening.set(key, owner);
    try {
      const { id } = await openForward(this.#forwards, wanted);
      this.#exposed.set(key, { local, remote, protocol, id, owner });
      return OK;
    } catch (error) {
      return goError(500, caller.guest === undefined ? (error as Error).message : guestRefusal(error, wanted));
    } finally {
      this.#opening.delete(key);
    }
  }

  async unexpose(body: Uint8Array, caller: Caller): Promise<GoAnswer> {
    const request = readExposeRequest(body);
    if ('status' in request) return request;
    const found = this.#find(keyOf(request));
    const may = found !== undefined && (caller.guest === undefined || found.owner === ownerOf(caller.guest));
    if (!may) return goError(500, 'proxy not found');
    // gvproxy closes a TCP listener alone, a UDP proxy with its flows, and an SSH client with all that goes through it.
    const guest = this.#forwards.get(found.id)?.spec.guest.kind;
    const connections = found.protocol === 'udp' || guest === 'ssh';
    return (await this.#forwards.remove(found.id, { connections })) ? OK : goError(500, 'proxy not found');
  }

  /** What a guest may not ask for: a file of this computer, another guest's port, more than its share. */
  #forbidden({ protocol }: ExposeRequest, remote: string, guest: number): GoAnswer | undefined {
    if (protocol === 'unix' || protocol === 'npipe') {
      return goError(500, `protocol ${protocol} is not available to guests`);
    }
    if (parseIpv4Address(remote.split(':', 1)[0] ?? '') !== guest) {
      return goError(
        500,
        `invalid remote addr: a guest exposes its own ports, and this one is ${formatIpv4Address(guest)}`,
      );
    }
    const owner = ownerOf(guest);
    const opening = [...this.#opening.values()].filter((one) => one === owner).length;
    if (this.#forwards.ownedBy(owner).length + opening < MAX_FORWARDS_OF_GUEST) return undefined;
    return goError(500, `too many forwards: a guest may have ${MAX_FORWARDS_OF_GUEST}`);
  }

  #find(key: string): Exposed | undefined {
    return this.#exposed.get(key) ?? this.#others((spec) => spec.count === 1).find((one) => keyOf(one) === key);
  }

  #list(): readonly Exposed[] {
    return [...this.#exposed.values(), ...this.#others(() => true)];
  }

  /** What was not asked for here. */
  #others(which: (spec: ForwardSpec) => boolean): readonly Exposed[] {
    const known = new Set([...this.#exposed.values()].map(({ id }) => id));
    return this.#forwards
      .list()
      .filter(({ id, spec }) => !known.has(id) && which(spec))
      .flatMap(({ id, spec, boundPort }) =>
        described(spec, boundPort).map((one) => ({ ...one, id, owner: spec.owner })),
      );
  }
}

const forwarders = new WeakMap<Forwards, PortForwarder>();

/** The one forwarder of a table: what guests and control clients asked for stands in one list. */
export function portForwarder(forwards: Forwards): PortForwarder {
  const made = forwarders.get(forwards) ?? new PortForwarder(forwards);
  forwarders.set(forwards, made);
  return made;
}

/** The forwards of a specification in gvproxy's words. */
export function described(spec: ForwardSpec, boundPort: number): ExposeRequest[] {
  const { protocol, host, guest, count } = spec;
  const address = guest.address === undefined ? '' : formatIpv4Address(guest.address);
  if (host.kind === 'unix') {
    const remote =
      guest.kind === 'ssh'
        ? `ssh-tunnel://${guest.user}@${address}:${guest.port}${guest.path}?key=${encodeURIComponent(guest.keyFile)}`
        : `tcp://${address}:${guest.port}`;
    return [{ local: host.path, remote, protocol }];
  }
  const first = host.port === 0 ? boundPort : host.port;
  return Array.from({ length: count }, (_, index) => ({
    local: joinHostPort(host.address, first + index),
    remote: joinHostPort(address, guest.port + index),
    protocol,
  }));
}

function keyOf({ protocol, local }: Pick<ExposeRequest, 'protocol' | 'local'>): string {
  return `${protocol}/${local}`;
}

function ownerOf(guest: number): ForwardOwner {
  return `guest ${formatIpv4Address(guest)}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
