import { Counters } from '../../../../src/env/counters.ts';
import type { Random } from '../../../../src/env/random.ts';
import type { DnsQuery } from '../../../../src/services/dns/dns-query.ts';
import { Forwarder, type ForwardResult } from '../../../../src/services/dns/upstream/forwarder.ts';
import type { Nameserver } from '../../../../src/facts/nameserver.ts';
import { writeU16 } from '../../../../src/wire/bytes.ts';
import { findEdns } from '../../../../src/wire/dns-edns.ts';
import { DNS_TYPE_A, DnsQuestion, parseDnsQuestion, writeDnsQuery } from '../../../../src/wire/dns-message.ts';
import { ManualTimers } from './manual-timers.ts';

/** Unpredictable enough for a test. */
export const random: Random = { u32: () => Math.floor(Math.random() * 2 ** 32) };

export interface Question {
  readonly type?: number;
  /** The header's flags. */
  readonly flags?: number;
  /** An OPT record, with these octets of options, and DO. */
  readonly options?: readonly number[];
}

/** What the front makes of a guest's message. */
export function query(name: string, { type = DNS_TYPE_A, flags = 0x0100, options }: Question = {}): DnsQuery {
  const room = new Uint8Array(512);
  const length = writeDnsQuery(room, 0, room.length, 0x0707, name, type);
  writeU16(room, 2, flags);
  const opt = options === undefined ? [] : [0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, options.length, ...options];
  room.set(opt, length);
  if (options !== undefined) writeU16(room, 10, 1);
  const bytes = room.slice(0, length + opt.length);
  const question = new DnsQuestion();
  parseDnsQuestion(bytes, 0, bytes.length, question);
  const edns = findEdns(bytes, question, bytes.length);
  if (typeof edns === 'string') throw new Error(edns);
  const checkingDisabled = (flags & 0x0010) !== 0;
  return { bytes, question, name: name.toLowerCase(), edns, dnssecOk: edns?.dnssecOk ?? false, checkingDisabled };
}

/** A forwarder whose time and system the test holds in its hands. */
export class UpstreamWorld {
  readonly timers = new ManualTimers();
  readonly counters = new Counters();
  /** What resolv.conf says. */
  readonly system: { generation: number; list: readonly Nameserver[]; nameservers(): readonly Nameserver[] } = {
    generation: 0,
    list: [],
    nameservers() {
      return this.list;
    },
  };
  readonly forwarder: Forwarder = new Forwarder({
    system: this.system,
    counters: this.counters,
    random,
    timers: this.timers,
  });

  /** A message, or a word. */
  async ask(what: DnsQuery, nameservers: readonly Nameserver[] | 'system' = 'system'): Promise<Uint8Array | string> {
    const result: ForwardResult = await this.forwarder.ask(what, nameservers);
    return typeof result === 'string' ? result : result.message;
  }

  [Symbol.dispose](): void {
    this.forwarder.close();
  }
}
