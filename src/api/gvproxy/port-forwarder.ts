import { type ForwardOwner, type ForwardSpec, type ForwardStatus, forwardId } from '../../config/forward.ts';
import type { Forwards } from '../../services/forward/forwards.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { openForward } from './open-forward.ts';
import { type ExposeRequest, forwardOf, readExposeRequest, remoteOf } from './expose-request.ts';
import { Refusal } from './answer.ts';
import { joinHostPort, splitHostPort } from './host-port.ts';
import { guestRefusal } from './guest-refusal.ts';

/** Each takes up to two descriptors, and every container of the guest may ask. */
const MAX_FORWARDS_OF_GUEST = 512;

/** Who asks. */
export interface Caller {
  /** "192.168.65.3:40312", '' for a client of a unix socket. */
  readonly remoteAddress: string;
  /** A guest, which may manage what it made itself and nothing else; undefined for whoever reaches the control API. */
  readonly guest: AskingGuest | undefined;
}

export interface AskingGuest {
  /** IPv4. The guest chose it, so it is nothing to know the guest by. */
  readonly address: number;
  /** What it is attached to: who made a forward, and whose share it is counted against. */
  readonly attachment: string;
}

/** A forward with the strings that it was asked for with: protocol and local string are its key. */
interface Exposed extends ExposeRequest {
  /** In the table. */
  readonly id: string;
  readonly owner: ForwardOwner;
  /** IPv4 of the guest that it leads to. */
  readonly guest: number | undefined;
}

/** A forward as gvproxy lists it. */
type ShownForward = Pick<ExposeRequest, 'local' | 'remote' | 'protocol'>;

/**
 * gvproxy's port forwarder: /services/forwarder/{all,expose,unexpose} on top of the table of forwards. Forwards that
 * others made (configuration, command line, Docker) are listed, a range port by port; those of one port can be removed
 * too. One for all who ask.
 *
 * A request of a guest takes a time that does not grow with the table, which many guests may have filled. A refusal is
 * thrown as a Refusal.
 */
export class PortForwarder {
  readonly #forwards: Forwards;
  /** What was asked for here, by its key. */
  readonly #exposed = new Map<string, Exposed>();
  /** Its keys by id. */
  readonly #keys = new Map<string, string>();
  /** Keys of those that are being opened, with who asked. */
  readonly #opening = new Map<string, ForwardOwner>();

  constructor(forwards: Forwards) {
    this.#forwards = forwards;
    forwards.onChange(({ id }, removed) => {
      const key = removed ? this.#keys.get(id) : undefined;
      if (key === undefined) return;
      this.#keys.delete(id);
      this.#exposed.delete(key);
    });
  }

  all({ guest }: Pick<Caller, 'guest'>): ShownForward[] {
    const exposed = [...this.#exposed.values()];
    const listed =
      guest === undefined ? [...exposed, ...this.#others()] : exposed.filter((one) => mayManage(guest, one));
    return listed
      .map(({ local, remote, protocol }) => ({ local, remote, protocol }))
      .sort((a, b) => compare(a.local, b.local) || compare(a.protocol, b.protocol));
  }

  async expose(body: Uint8Array, caller: Caller): Promise<void> {
    const request = readExposeRequest(body);
    const remote = remoteOf(request, caller.remoteAddress);
    const owner = caller.guest === undefined ? 'gvproxy' : ownerOf(caller.guest);
    const { local, protocol } = request;
    const key = keyOf(request);
    if (this.#opening.has(key) || this.#find(request) !== undefined) {
      throw new Refusal(500, `proxy already running for ${protocol} on ${local}`);
    }
    if (caller.guest !== undefined) this.#assertAllowed(request, remote, caller.guest);
    const wanted = forwardOf(request, remote, owner);
    this.#opening.set(key, owner);
    try {
      const { id } = await openForward(this.#forwards, wanted);
      this.#exposed.set(key, { local, remote, protocol, id, owner, guest: wanted.guest.address });
      this.#keys.set(id, key);
    } catch (error) {
      throw new Refusal(500, caller.guest === undefined ? (error as Error).message : guestRefusal(error, wanted));
    } finally {
      this.#opening.delete(key);
    }
  }

  async unexpose(body: Uint8Array, caller: Caller): Promise<void> {
    const request = readExposeRequest(body);
    const found = this.#find(request);
    const may = found !== undefined && (caller.guest === undefined || mayManage(caller.guest, found));
    if (!may) throw notRunning();
    // gvproxy closes a TCP listener alone, a UDP proxy with its flows, and an SSH client with all that goes through it.
    const guest = this.#forwards.get(found.id)?.spec.guest.kind;
    const connections = found.protocol === 'udp' || guest === 'ssh';
    if (!(await this.#forwards.close(found.id, { connections }))) throw notRunning();
  }

  /** Refuses what a guest may not ask for: a file of this computer, another guest's port, more than its share. */
  #assertAllowed({ protocol }: ExposeRequest, remote: string, guest: AskingGuest): void {
    if (protocol === 'unix' || protocol === 'npipe') {
      throw new Refusal(500, `protocol ${protocol} is not available to guests`);
    }
    if (parseIpv4Address(remote.split(':', 1)[0] ?? '') !== guest.address) {
      const own = formatIpv4Address(guest.address);
      throw new Refusal(500, `invalid remote addr: a guest exposes its own ports, and this one is ${own}`);
    }
    const owner = ownerOf(guest);
    const opening = [...this.#opening.values()].filter((one) => one === owner).length;
    if (this.#forwards.ownedBy(owner).length + opening < MAX_FORWARDS_OF_GUEST) return;
    throw new Refusal(500, `too many forwards: a guest may have ${MAX_FORWARDS_OF_GUEST}`);
  }

  #find(request: ExposeRequest): Exposed | undefined {
    return this.#exposed.get(keyOf(request)) ?? this.#foundElsewhere(request);
  }

  /** A forward of one port that was not asked for here, under the words in which it would have been. */
  #foundElsewhere({ protocol, local }: ExposeRequest): Exposed | undefined {
    const id = idOf(protocol, local);
    const status = id === undefined || this.#keys.has(id) ? undefined : this.#forwards.get(id);
    if (status === undefined || status.spec.count > 1) return undefined;
    return exposedAs(status).find((one) => keyOf(one) === keyOf({ protocol, local }));
  }

  #others(): readonly Exposed[] {
    return this.#forwards
      .list()
      .filter(({ id }) => !this.#keys.has(id))
      .flatMap(exposedAs);
  }
}

const forwarders = new WeakMap<Forwards, PortForwarder>();

/** The one forwarder of a table: guests and control clients share one list. */
export function portForwarder(forwards: Forwards): PortForwarder {
  const made = forwarders.get(forwards) ?? new PortForwarder(forwards);
  forwarders.set(forwards, made);
  return made;
}

function notRunning(): Refusal {
  return new Refusal(500, 'proxy not found');
}

function exposedAs({ id, spec, boundPort }: ForwardStatus): Exposed[] {
  return described(spec, boundPort).map((one) => ({ ...one, id, owner: spec.owner, guest: spec.guest.address }));
}

/** The id that a forward of one port has in the table. */
function idOf(protocol: string, local: string): string | undefined {
  if (protocol === 'unix') return forwardId({ protocol, host: { kind: 'unix', path: local }, count: 1 });
  const split = splitHostPort(local);
  if (split === undefined || (protocol !== 'tcp' && protocol !== 'udp')) return undefined;
  return forwardId({ protocol, host: { kind: 'port', address: split.host, port: Number(split.port) }, count: 1 });
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

function ownerOf({ attachment }: AskingGuest): ForwardOwner {
  return `guest ${attachment}`;
}

/**
 * What it made; also what leads to its own address, if a guest made it that came in at the same listener: of several
 * guests there that all come back, one may get the ordinal of another.
 */
function mayManage(asking: AskingGuest, { owner, guest }: Exposed): boolean {
  const own = ownerOf(asking);
  return owner === own || (guest === asking.address && withoutOrdinal(owner) === withoutOrdinal(own));
}

function withoutOrdinal(owner: ForwardOwner): string {
  return owner.replace(/ #\d+$/, '');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
