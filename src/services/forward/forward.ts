import { SlipwayError } from '../../facts/errors.ts';
import {
  type ForwardOwner,
  type ForwardSpec,
  type ForwardState,
  type ForwardStatus,
  forwardId,
} from '../../config/forward.ts';
import type { HostErrorCode } from '../../env/host.ts';
import type { ForwardReach, ForwardReport, ForwardStanding } from '../../forward/forward-request.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { describeForward } from './describe-forward.ts';
import type { ForwardEdges, OpenPorts, PortRequest, SocketRelay } from './edges.ts';

/** A new IPv4 address is reported on Linux; any other is found only by trying to bind it again. */
const ADDRESS_RETRY_MS = 1_000;
/** How long a socket may be without its file; looking costs a system call. */
const FILE_CHECK_MS = 5_000;
/** A port that another program holds may stay held for long, so the pauses between tries double. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/**
 * One forward: what was asked for, and its present state. It tries to open until it is closed; one try at a time.
 *
 * States: new → open, with its sockets at the network thread ('listening', or 'waiting' while its guest is down) ⇄ not
 * open, with the next try scheduled ('waiting' when the address is missing, 'failed' for every other reason). `close`
 * is final.
 */
export class Forward {
  /** Its id in messages to the network thread. */
  readonly number: number;
  readonly #edges: ForwardEdges;
  readonly #tell: (forward: Forward) => void;
  #spec: ForwardSpec;
  /** Bound, and not handed over yet: whoever exits now must remove their file. */
  #binding: OpenPorts | undefined;
  #ports: OpenPorts | undefined;
  #relay: SocketRelay | undefined;
  #failure: SlipwayError | undefined;
  /** What the network says of the guest. */
  #reach: ForwardStanding = { state: 'up', why: '', guestAddress: 0, guestListens: 'unseen' };
  /** The last guest that clients reached. */
  #lastGuest = 0;
  #connections = 0;
  #note = '';
  /** The try or the closing that is under way; the next one waits for it. */
  #work: Promise<unknown> = Promise.resolve();
  #cancelRetry: (() => void) | undefined;
  #retries = 0;
  #closed = false;

  /** `tell` hears of every change of state. */
  constructor(number: number, spec: ForwardSpec, edges: ForwardEdges, tell: (forward: Forward) => void) {
    this.number = number;
    this.#spec = spec;
    this.#edges = edges;
    this.#tell = tell;
  }

  get id(): string {
    return forwardId(this.#spec);
  }

  /** Once the host has chosen a port, it names that port. */
  get spec(): ForwardSpec {
    return this.#spec;
  }

  /** Whether it comes back after a restart. */
  keep(persistent: boolean): void {
    this.#spec = { ...this.#spec, persistent };
  }

  get status(): ForwardStatus {
    return {
      id: this.id,
      spec: this.#spec,
      ...this.#standing(),
      reaches: this.#reach.guestAddress,
      guestListens: this.#reach.guestListens,
      note: this.#note,
      boundPort: this.#ports?.boundPort ?? 0,
      connections: this.#relay?.connections ?? this.#connections,
      descriptors: this.#ports?.descriptors ?? 0,
    };
  }

  /** Why nothing is bound. */
  get failure(): SlipwayError | undefined {
    return this.#failure;
  }

  /**
   * Tries to bind the ports and hand them over. Resolves with the error, if there is one; then the next try is
   * scheduled already.
   */
  open(): Promise<SlipwayError | undefined> {
    return this.#next(() => this.#try());
  }

  /** A socket whose file somebody removed is reached by nobody: it is made again, if it can be. */
  async mend(): Promise<void> {
    if (this.#ports?.isThere() !== false) return;
    await this.#next(async () => {
      const [ports, relay] = [this.#ports, this.#relay];
      if (ports === undefined || ports.isThere() || this.#closed) return;
      this.#edges.log.warn(`the socket of ${describeForward(this.#spec)} was removed; it is made again`);
      this.#ports = undefined;
      this.#relay = undefined;
      if (relay === undefined) await this.#edges.network.close(this.number, false);
      else relay.close(false);
    });
    await this.open();
  }

  /** Closes listeners and removes the file of a socket. Established connections live on unless `connections`. */
  close(connections: boolean): Promise<void> {
    this.#closed = true;
    this.#cancelRetry?.();
    return this.#next(async () => {
      const [ports, relay] = [this.#ports, this.#relay];
      this.#ports = undefined;
      if (ports === undefined) return;
      ports.removeFile();
      if (relay === undefined) await this.#edges.network.close(this.number, connections);
      else relay.close(connections);
    });
  }

  /** Only what must be done when the process exits: nothing is awaited any more. */
  abort(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#binding?.removeFile();
    this.#drop();
    // What is under way may still bring ports or a relay, if the process lives on a little.
    void this.#next(async () => this.#drop());
  }

  #drop(): void {
    this.#ports?.removeFile();
    this.#relay?.close(true);
    this.#ports = undefined;
    this.#relay = undefined;
  }

  /** What the network says of the guest. */
  reached({ state, why, guestAddress, guestListens }: ForwardStanding): void {
    this.#reach = { state, why, guestAddress, guestListens };
    this.#guestIs(guestAddress);
    if (this.#ports !== undefined) this.#tell(this);
  }

  /** What the network counted. */
  counted({ connections, note }: Pick<ForwardReport, 'connections' | 'note'>): void {
    this.#connections = connections;
    this.#note = note;
  }

  /** Only a forward that names no guest gets another one. */
  #guestIs(address: number): void {
    const before = this.#lastGuest;
    if (address === 0 || address === before) return;
    this.#lastGuest = address;
    if (before === 0) return;
    const [from, to] = [before, address].map(formatIpv4Address);
    this.#edges.log.warn(
      `${describeForward(this.#spec)} reaches another guest now: ${to}, since ${from} is gone; publish it with a guest's address to keep it at that guest`,
    );
  }

  /** After a recovery the host refused the sockets to the new network thread: it must be opened again. */
  lost(errno: HostErrorCode): void {
    void this.#next(async () => {
      if (this.#ports === undefined || this.#closed) return;
      this.#ports.removeFile();
      this.#ports = undefined;
      this.#fail(await this.#refusal(errno));
    });
  }

  /** This computer's addresses changed: the one that is missing may exist now. */
  networkChanged(): void {
    if (this.#failure?.code === 'ERR_PORT_ADDRESS') void this.open();
  }

  #standing(): { readonly state: ForwardState; readonly why: string; readonly code: string } {
    if (this.#failure !== undefined) {
      const { code, message } = this.#failure;
      return { state: code === 'ERR_PORT_ADDRESS' ? 'waiting' : 'failed', why: message, code };
    }
    if (this.#ports === undefined) return { state: 'waiting', why: 'it is being opened', code: '' };
    if (this.#reach.state === 'down') return { state: 'waiting', why: this.#reach.why, code: '' };
    return { state: 'listening', why: '', code: '' };
  }

  #watchFile(): void {
    if (this.#spec.host.kind !== 'unix' || this.#closed) return;
    this.#cancelRetry = this.#edges.schedule(FILE_CHECK_MS, () => {
      void this.mend().finally(() => {
        if (this.#ports !== undefined) this.#watchFile();
      });
    });
  }

  #next<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#work.then(act);
    this.#work = done.catch(() => {});
    return done;
  }

  async #try(): Promise<SlipwayError | undefined> {
    if (this.#closed || this.#ports !== undefined) return undefined;
    this.#cancelRetry?.();
    try {
      const ports = await this.#bind();
      this.#binding = ports;
      await this.#handOver(ports);
      this.#ports = ports;
      this.#failure = undefined;
      this.#retries = 0;
      this.#watchFile();
      this.#tell(this);
      return undefined;
    } catch (error) {
      this.#binding?.removeFile();
      const failure = asSlipwayError(error, this.#spec);
      this.#fail(failure);
      return failure;
    } finally {
      this.#binding = undefined;
    }
  }

  #fail(failure: SlipwayError): void {
    const news = this.#failure?.message !== failure.message;
    this.#failure = failure;
    const waitMs =
      failure.code === 'ERR_PORT_ADDRESS'
        ? ADDRESS_RETRY_MS
        : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#retries, 16));
    this.#retries++;
    if (!this.#closed) this.#cancelRetry = this.#edges.schedule(waitMs, () => void this.open());
    if (news) this.#tell(this);
  }

  async #bind(): Promise<OpenPorts> {
    const { host, protocol, count, ipv4Only, owner } = this.#spec;
    if (host.kind === 'unix') return this.#edges.ports.openUnix(host.path);
    if (protocol === 'unix') throw new Error('a socket has no port');
    const last = host.lastPort ?? host.port;
    for (let port = host.port; ; port++) {
      try {
        return await this.#edges.ports.open({
          protocol,
          address: host.address,
          port,
          count,
          ipv4Only,
          ...terseFor(owner),
        });
      } catch (error) {
        if (port >= last || !(error instanceof SlipwayError) || error.code !== 'ERR_PORT_IN_USE') throw error;
      }
    }
  }

  async #handOver(ports: OpenPorts): Promise<void> {
    const { host, guest, protocol, source, proxy, waitSeconds } = this.#spec;
    if (guest.kind === 'ssh') {
      try {
        const reached = (state: ForwardReach, why: string): void =>
          this.reached({ state, why, guestAddress: 0, guestListens: 'unseen' });
        this.#relay = await this.#edges.openSsh(this.#spec, ports.sockets, reached);
      } catch (error) {
        ports.removeFile();
        ports.close();
        throw error;
      } finally {
        ports.handedOver?.();
      }
      return;
    }
    const opening = this.#edges.network.open({
      id: this.number,
      protocol,
      sockets: ports.sockets,
      guestAddress: guest.address ?? 0,
      guestPort: guest.port,
      source,
      proxy,
      waitMs: waitSeconds * 1000,
      firstGuest: this.#lastGuest,
    });
    const outcome = await opening.finally(() => ports.handedOver?.());
    // A port that was chosen stays the chosen one, in later tries and after a restart.
    if (host.kind === 'port') {
      this.#spec = { ...this.#spec, host: { kind: 'port', address: host.address, port: ports.boundPort } };
    }
    if (typeof outcome !== 'string') {
      this.#reach = outcome;
      this.#guestIs(outcome.guestAddress);
      this.counted(outcome);
      return;
    }
    ports.removeFile();
    throw await this.#refusal(outcome);
  }

  #refusal(errno: HostErrorCode): Promise<SlipwayError> {
    const { host, protocol, count, ipv4Only, owner } = this.#spec;
    if (host.kind === 'unix' || protocol === 'unix') {
      return this.#edges.ports.refusal(host.kind === 'unix' ? host.path : '', errno);
    }
    const request = { protocol, address: host.address, port: host.port, count, ipv4Only, ...terseFor(owner) };
    return this.#edges.ports.refusal(request, errno);
  }
}

/** A guest must not make the control thread search, nor learn what is found. */
function terseFor(owner: ForwardOwner): Pick<PortRequest, 'terse'> {
  return owner.startsWith('guest ') ? { terse: true } : {};
}

function asSlipwayError(error: unknown, spec: ForwardSpec): SlipwayError {
  if (error instanceof SlipwayError) return error;
  const { message } = error instanceof Error ? error : new Error(String(error));
  return new SlipwayError('ERR_PORT_FAILED', `${describeForward(spec)}: ${message}`, '', { cause: error });
}
