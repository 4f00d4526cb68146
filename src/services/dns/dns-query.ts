import type { DnsEdns } from '../../wire/dns-edns.ts';
import type { DnsQuestion } from '../../wire/dns-message.ts';
import type { LookupTrace } from './lookup-trace.ts';

export type DnsTransport = 'udp' | 'tcp';

/** A question that passed the checks of the front: QUERY, one question, class IN, EDNS version 0 or none. */
export interface DnsQuery {
  /** The message as it came. Owned by the query; nobody changes it. */
  readonly bytes: Uint8Array;
  readonly question: DnsQuestion;
  /** `dnsNameKey(question.name)`: lower case, no last dot. */
  readonly name: string;
  /** Absent when the asker sent no OPT record. */
  readonly edns: DnsEdns | undefined;
  /** The DO bit (RFC 3225): the asker wants signatures. */
  readonly dnssecOk: boolean;
  /** The CD bit (RFC 4035 §3.2.2). */
  readonly checkingDisabled: boolean;
  /** The guest that asks (`Port.attachment`); undefined for a question of our own, which counts against no guest. */
  readonly guest?: string | undefined;
  /** Records how the answer comes about (`--explain`). It travels with the question; most have none. */
  readonly trace?: LookupTrace | undefined;
}
