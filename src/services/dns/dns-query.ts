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
}

/**
 * Answers queries with whole DNS messages. A message answers the question but is not yet fitted to the asker: its id, its
 * question's case, its OPT record, its AD bit and its length are anybody's; the front fits them (`fitAnswer`). Whoever
 * gets a message owns it.
 */
export interface DnsBackend {
  /** Never rejects: what cannot be answered is answered with SERVFAIL. */
  resolve(query: DnsQuery, trace: LookupTrace | undefined): Promise<Uint8Array>;
}
