import { randomInt } from 'node:crypto';
import type { Counters } from '../env/counters.ts';
import type { Random } from '../env/random.ts';
import type { Nameserver } from '../facts/nameserver.ts';
import type { Pending } from '../services/dns/upstream/request.ts';
import { TcpTransport } from '../services/dns/upstream/tcp-transport.ts';
import { type DnsTimers, systemTimers } from '../services/dns/upstream/timers.ts';
import type { TransportOptions, UpstreamTransport } from '../services/dns/upstream/transport.ts';
import { UdpTransport } from '../services/dns/upstream/udp-transport.ts';
import type { DnsExchange } from './dns-front.ts';

/** A resolver that waits five seconds (glibc, musl, dig) hears of the failure from us. */
const DEADLINE_MS = 4500;
/** One datagram more for one that was lost. */
const RETRANSMIT_MS = 1500;
/**
 * A server may end a connection after so many questions (dnsmasq: a hundred), and ours was behind them, again and
 * again.
 */
const MAX_TRIES = 6;
/** What is said of a connection that ended. */
const ENDED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

export interface GatewayExchangeOptions {
  readonly transport: 'udp' | 'tcp';
  readonly counters: Counters;
  /** Default: the process's own timers. */
  readonly timers?: DnsTimers;
}

/** Puts messages as they are, but for the id, to the gateway's servers, by one transport. */
export class GatewayExchange implements DnsExchange {
  readonly #kind: 'udp' | 'tcp';
  readonly #options: Omit<TransportOptions, 'nameserver'>;
  /** By address and port: the internal and the system server. */
  readonly #transports = new Map<string, UpstreamTransport>();

  constructor({ transport, counters, timers = systemTimers }: GatewayExchangeOptions) {
    this.#kind = transport;
    this.#options = { counters, timers, random };
  }

  ask(server: Nameserver, message: Uint8Array, questionEnd: number): Promise<Uint8Array | undefined> {
    const { timers } = this.#options;
    const transport = this.#transport(server);
    return new Promise((resolve) => {
      const sent: Pending[] = [];
      let settled = false;
      const settle = (answer?: Uint8Array): void => {
        settled = true;
        deadline.cancel();
        retransmission?.cancel();
        for (const pending of sent) pending.forget();
        resolve(answer);
      };
      const send = (): void => {
        // A copy: the transport writes its id into it.
        const request = { message: new Uint8Array(message), questionEnd, answered: settle, failed };
        sent.push(transport.send(request));
      };
      const failed = (code: string): void => {
        if (settled) return;
        // A transport's patience is shorter than the asker's; a connection that ended was not the server's refusal.
        if (code === 'timeout' || (ENDED.has(code) && sent.length < MAX_TRIES)) send();
        else settle();
      };
      const deadline = timers.after(DEADLINE_MS, settle);
      const retransmission = this.#kind === 'udp' ? timers.after(RETRANSMIT_MS, again) : undefined;
      function again(): void {
        for (const pending of sent) pending.suspect();
        send();
      }
      send();
    });
  }

  /** Who still waits hears of a failure; the next question begins anew. The gateway is another, or it is the end. */
  close(): void {
    const transports = [...this.#transports.values()];
    this.#transports.clear();
    for (const transport of transports) transport.close();
  }

  #transport(server: Nameserver): UpstreamTransport {
    const key = `${server.address} ${server.port}`;
    let transport = this.#transports.get(key);
    if (transport === undefined) {
      const options = { ...this.#options, nameserver: server };
      transport = this.#kind === 'udp' ? new UdpTransport(options) : new TcpTransport(options);
      this.#transports.set(key, transport);
    }
    return transport;
  }
}

const random: Random = { u32: () => randomInt(0x1_0000_0000) };
