import { lstatSync } from 'node:fs';
import type { ForwardStatus } from '../../config/forward.ts';
import type { Forwards } from '../../services/forward/forwards.ts';
import { openForward } from '../gvproxy/open-forward.ts';
import { forwardOf, type Port, portsOf, readPort, shownPort } from './port-json.ts';

/** What vpnkit's forwarder (an echo server) answers: JSON and a newline, or nothing. */
export interface VpnkitAnswer {
  readonly status: number;
  readonly json: unknown;
}

const DONE: VpnkitAnswer = { status: 200, json: undefined };

/**
 * vpnkit's forwarder: /forwards/{expose,unexpose}/{port,pipe}, list and dump on top of the table of forwards. All
 * fields together identify a port; exposing it again does nothing, nor does unexposing an unknown one.
 */
export class PortExposer {
  readonly #forwards: Forwards;
  /** By `keyOf`: what was asked for here, with the port that was chosen. */
  readonly #exposed = new Map<string, { readonly port: Port; readonly id: string }>();
  readonly #opening = new Map<string, Promise<VpnkitAnswer>>();

  constructor(forwards: Forwards) {
    this.#forwards = forwards;
    forwards.onChange(({ id }, removed) => {
      if (!removed) return;
      for (const [key, exposed] of this.#exposed) if (exposed.id === id) this.#exposed.delete(key);
    });
  }

  expose(kind: 'port' | 'pipe', body: Uint8Array): VpnkitAnswer | Promise<VpnkitAnswer> {
    const read = readPort(body);
    if ('error' in read) return failure(read.error);
    const port = read.value;
    const wrong = wrongProtocol(kind, port);
    if (wrong !== undefined) return wrong;
    const key = keyOf(port);
    if (this.#exposed.has(key)) return DONE;
    const opening = this.#opening.get(key) ?? this.#open(key, port);
    this.#opening.set(key, opening);
    return opening.finally(() => this.#opening.delete(key));
  }

  async unexpose(kind: 'port' | 'pipe', body: Uint8Array): Promise<VpnkitAnswer> {
    const read = readPort(body);
    if ('error' in read) return failure(read.error);
    const port = read.value;
    const wrong = wrongProtocol(kind, port);
    if (wrong !== undefined) return wrong;
    const key = keyOf(port);
    await this.#opening.get(key);
    // As it was asked for, or as the list shows it: with the port that was chosen.
    const id = this.#exposed.get(key)?.id ?? this.#listed().find((one) => one.whole && keyOf(one.port) === key)?.id;
    if (id !== undefined) await this.#forwards.close(id);
    return DONE;
  }

  /** All ports that are open, whoever asked; null for none, as Go writes a list that never was. */
  list(): VpnkitAnswer {
    const ports = this.#listed().map(({ port }) => shownPort(port));
    return { status: 200, json: ports.length === 0 ? null : ports };
  }

  /** For people: vpnkit shows what its multiplexer did last; here, the state of each forward. */
  dump(): string {
    const lines = this.#forwards.list().map(({ id, state, why, connections }) => {
      const reason = why === '' ? '' : `: ${why}`;
      return `${id} ${state}${reason}, ${connections} connections\n`;
    });
    return `Event trace:\n${lines.join('')}`;
  }

  async #open(key: string, port: Port): Promise<VpnkitAnswer> {
    if (port.proto === 'unix' && isNoSocket(port.out_path)) return failure(`refusing to remove path ${port.out_path}`);
    const spec = forwardOf(port);
    if (typeof spec === 'string') return failure(spec);
    try {
      const { id, boundPort } = await openForward(this.#forwards, spec);
      this.#exposed.set(key, { port: port.proto === 'unix' ? port : { ...port, out_port: boundPort }, id });
      return DONE;
    } catch (error) {
      return failure((error as Error).message);
    }
  }

  /** `whole`: the port is all that its forward has. */
  #listed(): { readonly port: Port; readonly id: string; readonly whole: boolean }[] {
    const known = new Map([...this.#exposed.values()].map(({ id, port }) => [id, port]));
    const ports = ({ id, spec, boundPort }: ForwardStatus): readonly Port[] => {
      const port = known.get(id);
      return port === undefined ? portsOf(spec, boundPort) : [port];
    };
    return this.#forwards
      .list()
      .flatMap((status) => ports(status).map((port) => ({ port, id: status.id, whole: status.spec.count === 1 })));
  }
}

function wrongProtocol(kind: 'port' | 'pipe', { proto }: Port): VpnkitAnswer | undefined {
  if (kind === 'pipe')
    return proto === 'unix' ? undefined : { status: 400, json: 'exposed pipes can only have proto=Unix' };
  return proto === 'tcp' || proto === 'udp' ? undefined : { status: 400, json: 'exposed ports can only be TCP or UDP' };
}

function failure(message: string): VpnkitAnswer {
  return { status: 400, json: { message } };
}

/** What makes two ports the same: their ends. */
function keyOf({ annotation: _, ...ends }: Port): string {
  return JSON.stringify(ends);
}

/** The path is a file that is not a socket: it is left alone. */
function isNoSocket(path: string): boolean {
  try {
    return !(lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? true);
  } catch {
    return false;
  }
}
