import assert from 'node:assert/strict';
import { Counters } from '../../../../src/env/counters.ts';
import type { DnsQuery } from '../../../../src/services/dns/dns-query.ts';
import { type DnsSourcesOptions, dnsSources } from '../../../../src/services/dns/dns-sources.ts';
import { type LookupTrace, RecordedTrace } from '../../../../src/services/dns/lookup-trace.ts';
import { QueryLimit } from '../../../../src/services/dns/query-limit.ts';
import type { Cache } from '../../../../src/services/dns/sources/cache.ts';
import { type HostAnswer, HostResolver } from '../../../../src/services/dns/sources/host-resolver.ts';
import { traced } from '../../../../src/services/dns/sources/traced.ts';
import type { ForwardResult } from '../../../../src/services/dns/upstream/forwarder.ts';
import type { Nameserver } from '../../../../src/facts/nameserver.ts';
import type { DnsTimers } from '../../../../src/services/dns/upstream/timers.ts';
import { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { readU16, writeU16 } from '../../../../src/wire/bytes.ts';
import type { DnsData } from '../../../../src/wire/dns-data.ts';
import { appendOpt, findExtendedError } from '../../../../src/wire/dns-edns.ts';
import { DNS_CD, DNS_RD, DNS_TYPE_OPT, dnsRcodeName, dnsTypeNumber } from '../../../../src/wire/dns-message.ts';
import { DnsRecordCursor, DnsRecords } from '../../../../src/wire/dns-record.ts';
import { DnsWriter } from '../../../../src/wire/dns-writer.ts';
import { dnsQuery, queryBytes, readMessage } from '../../../support/dns-messages.ts';
import { ManualTimers } from '../upstream/manual-timers.ts';

/** Lets everything happen that waits for nothing but its turn. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Goes on in steps of 10 ms; what follows from each step happens in it. */
export async function pass(timers: ManualTimers, ms: number): Promise<void> {
  await settled();
  for (let passed = 0; passed < ms; passed += 10) {
    timers.advance(Math.min(10, ms - passed));
    await settled();
  }
}

export interface Asking {
  /** RD unless told otherwise. */
  readonly rd?: boolean;
  readonly dnssecOk?: boolean;
  readonly checkingDisabled?: boolean;
}

export function query(name: string, type: string, asking: Asking = {}): DnsQuery {
  const flags = (asking.rd === false ? 0 : DNS_RD) | (asking.checkingDisabled === true ? DNS_CD : 0);
  const edns = asking.dnssecOk === true ? { edns: { dnssecOk: true } } : {};
  return dnsQuery(queryBytes(name, dnsTypeNumber(type)!, { flags, ...edns }));
}

export interface Written {
  readonly rcode?: number;
  readonly flags?: number;
  /** Of the answers; 300 unless told. */
  readonly ttlSeconds?: number;
  readonly answers?: readonly DnsData[];
  /** An SOA in the authority section. */
  readonly soa?: { readonly ttlSeconds: number; readonly minimumSeconds: number };
  readonly additionals?: readonly DnsData[];
  /** An OPT record at the end, as nameservers send it. */
  readonly opt?: boolean;
  /** Of the OPT record. */
  readonly upperRcode?: number;
}

/** A nameserver's message. */
export function written(to: DnsQuery, what: Written): Uint8Array {
  const bytes = new Uint8Array(60_000);
  const writer = new DnsWriter(bytes);
  const { name } = to.question;
  writer.start(0, bytes.length - 11, to.bytes, to.question, what.rcode ?? 0, 0);
  for (const data of what.answers ?? []) assert.ok(writer.answer(name, what.ttlSeconds ?? 300, data));
  if (what.soa !== undefined) {
    const times = { serial: 1, refreshSeconds: 1, retrySeconds: 1, expireSeconds: 1 };
    const soa = { mname: 'ns.example', rname: 'admin.example', ...times, minimumSeconds: what.soa.minimumSeconds };
    assert.ok(writer.authority('example', what.soa.ttlSeconds, { type: 'SOA', soa }));
  }
  for (const data of what.additionals ?? []) assert.ok(writer.additional(`ns.${name}`, what.ttlSeconds ?? 300, data));
  const length = writer.finish();
  // After the fact: a writer that has set TC takes no records.
  writeU16(bytes, 2, readU16(bytes, 2) | (what.flags ?? 0));
  const opt = { udpBytes: 1232, extendedRcode: what.upperRcode ?? 0, dnssecOk: false };
  return bytes.slice(0, what.opt === true ? appendOpt(bytes, length, opt) : length);
}

export function a(...addresses: readonly number[]): DnsData[] {
  return addresses.map((address) => ({ type: 'A', address }));
}

export function aaaa(last: number): DnsData[] {
  return [{ type: 'AAAA', address: Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]) }];
}

export interface Said {
  readonly rcode: string;
  /** "host.example A 10.0.0.1" of the answer section. */
  readonly answers: readonly string[];
  /** "example SOA …" of the authority section. */
  readonly authorities: readonly string[];
  /** TTLs of all records but OPT. */
  readonly ttls: readonly number[];
  /** Code of the extended error. */
  readonly error: number | undefined;
}

/** Reads a message that must be whole. */
export function said(message: Uint8Array): Said {
  const { head, edns, records } = readMessage(message);
  const ttls: number[] = [];
  const walk = new DnsRecords();
  const cursor = new DnsRecordCursor();
  walk.start(message, 0, message.length, head);
  while (walk.next(cursor)) if (cursor.type !== DNS_TYPE_OPT) ttls.push(cursor.ttlSeconds);
  return {
    rcode: dnsRcodeName(head.rcode),
    answers: records.filter((text) => text.startsWith('answer ')).map((text) => text.slice('answer '.length)),
    authorities: records.filter((text) => text.startsWith('authority ')).map((text) => text.slice('authority '.length)),
    ttls,
    error: edns === undefined ? undefined : findExtendedError(message, edns)?.code,
  };
}

/** What a scripted nameserver does with a question: answers, tells that nobody does, or stays silent. */
export type Script = (asked: DnsQuery) => Written | 'no-answer' | 'no-nameservers' | 'silent' | Uint8Array;

/** The network's end: answers come from `script` after `delayMs`. */
export class ScriptedForwarder {
  script: Script;
  delayMs = 0;
  readonly asked: {
    readonly name: string;
    readonly type: number;
    readonly nameservers: readonly Nameserver[] | 'system';
  }[] = [];
  readonly #timers: DnsTimers;

  constructor(timers: DnsTimers, script: Script) {
    this.#timers = timers;
    this.script = script;
  }

  ask(asked: DnsQuery, nameservers: readonly Nameserver[] | 'system'): Promise<ForwardResult> {
    this.asked.push({ name: asked.name, type: asked.question.type, nameservers });
    const outcome = this.script(asked);
    if (outcome === 'silent') return new Promise(() => {});
    const result =
      typeof outcome === 'string'
        ? outcome
        : { message: outcome instanceof Uint8Array ? outcome : written(asked, outcome) };
    if (this.delayMs === 0) return Promise.resolve(result);
    return new Promise((resolve) => this.#timers.after(this.delayMs, () => resolve(result)));
  }
}

/**
 * The operating system's end: what getaddrinfo says at once of both families, or 'silent' for a name that it never ends
 * with.
 */
export type HostScript = (name: string) => HostAnswer | 'silent';

export class ScriptedLookup {
  script: HostScript;
  readonly asked: string[] = [];
  /** Lookups that run now, and the most that ever did. */
  running = 0;
  mostRunning = 0;

  constructor(script: HostScript) {
    this.script = script;
  }

  readonly lookup = async (name: string): Promise<HostAnswer> => {
    this.asked.push(name);
    this.running++;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    const answer = this.script(name);
    if (answer === 'silent') return new Promise(() => {});
    this.running--;
    return answer;
  };
}

export interface World {
  readonly timers: ManualTimers;
  readonly forwarder: ScriptedForwarder;
  readonly host: ScriptedLookup;
  readonly counters: Counters;
  readonly system: { generation: number; ipv6: boolean; hasIpv6(): boolean };
  readonly cache: Cache;
  /** The message of whoever answers. */
  resolve(asked: DnsQuery, trace?: LookupTrace): Promise<Uint8Array>;
  /** What the cache says, at once. */
  cached(asked: DnsQuery): Uint8Array | undefined;
  ask(name: string, type: string, asking?: Asking): Promise<Said>;
  /** The steps too. */
  explain(name: string, type: string, asking?: Asking): Promise<{ answer: Said; trace: RecordedTrace }>;
}

/**
 * All sources but the zones between scripted ends. Unless told otherwise no nameserver has an answer, and the host
 * knows no name.
 */
export function world(options: Partial<DnsSourcesOptions> & { raw?: Script; os?: HostScript } = {}): World {
  const { raw, os, ...rest } = options;
  const timers = new ManualTimers();
  const forwarder = new ScriptedForwarder(timers, raw ?? (() => 'no-answer'));
  const host = new ScriptedLookup(os ?? (() => 'no-such-name'));
  const counters = new Counters();
  const system = { generation: 1, ipv6: true, hasIpv6: () => system.ipv6 };
  const log = { info: () => {}, warn: () => {} };
  const { elsewhere, cache } = dnsSources({
    zones: new ZoneStore({ defaultTtlSeconds: 10 }),
    limit: new QueryLimit({ queriesPerSecond: 1, lookups: 1, clock: timers, counters, log }),
    ttlSeconds: 10,
    ipv6: 'auto',
    upstreams: [],
    rules: [],
    hosts: [],
    cache: { entries: 1000, megabytes: 1, staleSeconds: 3600 },
    forwarder,
    resolver: new HostResolver(counters, () => system.generation, host.lookup),
    system,
    counters,
    timers,
    ...rest,
  });
  const ask = traced(elsewhere);
  const resolve = async (asked: DnsQuery, trace?: LookupTrace): Promise<Uint8Array> =>
    (await ask({ ...asked, trace })).message;
  return {
    timers,
    forwarder,
    host,
    counters,
    system,
    cache,
    resolve,
    cached: (asked) => cache.answer(asked)?.message,
    ask: async (name, type, asking) => said(await resolve(query(name, type, asking))),
    explain: async (name, type, asking) => {
      const trace = new RecordedTrace();
      return { answer: said(await resolve(query(name, type, asking), trace)), trace };
    },
  };
}
