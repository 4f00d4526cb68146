import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import type { LookupJson } from '../api/v1/contract.ts';
import { type Config, type ConfigInput, mergeConfig, resolveConfig } from '../config/config.ts';
import { SlipwayError } from '../facts/errors.ts';
import { ipv4Address, Mismatch, shown } from '../config/values.ts';
import { BatchedRandom } from '../control/batched-random.ts';
import { Counters } from '../env/counters.ts';
import { corefile } from '../services/dns/corefile.ts';
import { type DescribedMessage, type DescribedRecord, describeMessage } from '../services/dns/described-message.ts';
import { type DnsStack, dnsStack } from '../services/dns/dns-stack.ts';
import { explainedStep, milliseconds } from '../services/dns/explained-step.ts';
import { RecordedTrace, type TraceStep } from '../services/dns/lookup-trace.ts';
import { DNS_TYPE_A, DNS_TYPE_PTR, dnsTypeName, dnsTypeNumber } from '../wire/dns-message.ts';
import { reverseIpv4Name, reverseIpv6Name } from '../wire/dns-reverse-name.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import { parseIpv6Address } from '../wire/ipv6-address.ts';
import { usualControlSocket } from './control-place.ts';
import { STANDARD_ERROR, STANDARD_OUTPUT, say } from './say.ts';
import { INTERNAL_DNS_PORT } from '../facts/gateway-ports.ts';

export interface LookupFlags {
  readonly config?: string;
  readonly explain?: boolean;
  readonly dnssec?: boolean;
  readonly internal?: boolean;
  readonly json?: boolean;
  /** The daemon to ask; 'none' asks none. */
  readonly control?: string;
}

export interface CorefileFlags {
  readonly config?: string;
  readonly gateway?: string;
  readonly bind?: readonly string[];
}

/** 127.0.0.1, and docker0's address unless dockerd was told otherwise. */
const COREFILE_BIND: readonly string[] = ['127.0.0.1', '172.17.0.1'];

/**
 * Exit statuses: the name has such records; it has none (NXDOMAIN, NODATA); there is no usable answer (SERVFAIL,
 * REFUSED).
 */
const STATUS_FOUND = 0;
const STATUS_NONE = 3;
const STATUS_NO_ANSWER = 4;

/** `slipway dns lookup`. Returns the status to exit with. */
export async function dnsLookup(name: string, typeText: string | undefined, flags: LookupFlags): Promise<number> {
  const question = questionOf(name, typeText);
  const asked = await askedDaemon(question, flags);
  if (asked !== undefined) {
    say(STANDARD_OUTPUT, flags.json === true ? asJson(asked) : asText(asked, flags.explain === true));
    return statusOf(asked.answer);
  }
  const config = await configOfFile(flags.config);
  const stack = stackOf(config);
  const trace = new RecordedTrace();
  // Sockets and timers of the stack hold no process.
  const hold = setInterval(() => {}, 60_000);
  const startMs = performance.now();
  try {
    const message = await stack.service.lookup({
      ...question,
      trace,
      dnssecOk: flags.dnssec === true,
      server: flags.internal === true ? 'internal' : 'all',
    });
    const found = { question, answer: describeMessage(message), steps: trace.steps, ms: performance.now() - startMs };
    say(STANDARD_OUTPUT, flags.json === true ? asJson(found) : asText(found, flags.explain === true));
    return statusOf(found.answer);
  } finally {
    clearInterval(hold);
    stack.close();
  }
}

/** `slipway dns corefile`. */
export async function dnsCorefile(flags: CorefileFlags): Promise<void> {
  const gateway = flags.gateway === undefined ? undefined : ipv4Address(flags.gateway);
  if (gateway instanceof Mismatch) throw usage('--gateway', gateway.expected, flags.gateway ?? '');
  const bind = flags.bind ?? COREFILE_BIND;
  for (const address of bind) if (isIP(address) === 0) throw usage('--bind', 'an IP address', address);
  const config = await configOfFile(flags.config);
  const stack = stackOf(config);
  const zones = stack.zones.list().map(({ name }) => name);
  stack.close();
  const text = corefile({ gateway: gateway ?? config.network.gateway, zones, internalPort: INTERNAL_DNS_PORT, bind });
  say(STANDARD_OUTPUT, text);
}

interface Question {
  readonly name: string;
  readonly type: number;
}

interface Found {
  /** Whose answer it is; undefined for this process's own. */
  readonly daemon?: string;
  readonly question: Question;
  readonly answer: DescribedMessage;
  readonly steps: readonly TraceStep[];
  readonly ms: number;
}

function questionOf(name: string, typeText: string | undefined): Question {
  if (typeText === undefined) {
    const reverse = reverseName(name);
    if (reverse !== undefined) return { name: reverse, type: DNS_TYPE_PTR };
  }
  const type = typeText === undefined ? DNS_TYPE_A : dnsTypeNumber(typeText);
  if (type === undefined) throw usage('TYPE', 'a record type such as AAAA, MX or TYPE65', typeText ?? '');
  // Names of other scripts are asked for in their ASCII form (RFC 5891); '' is the name of none.
  const ascii = /[^\0-\x7f]/.test(name) ? domainToASCII(name) : name;
  if (ascii === '' && name !== '') throw usage('NAME', 'a domain name', name);
  return { name: ascii, type };
}

/**
 * The running daemon's answer, with its cache and what was added to it; undefined where none runs, and for a
 * configuration of the asker's own.
 */
async function askedDaemon(question: Question, flags: LookupFlags): Promise<Found | undefined> {
  const { control, config, dnssec, internal } = flags;
  if (control === 'none' || (config !== undefined && control === undefined)) return undefined;
  if (control === undefined && !existsSync(usualControlSocket())) return undefined;
  const { controlClient } = await import('./control-client.ts');
  const client = controlClient(flags);
  const query = new URLSearchParams({
    name: question.name,
    type: dnsTypeName(question.type),
    explain: 'true',
    dnssec: `${dnssec === true}`,
    server: internal === true ? 'internal' : 'all',
  });
  try {
    const {
      steps = [],
      explanation: _,
      ms,
      name: __,
      type: ___,
      extendedError,
      ...answer
    } = await client.ask<LookupJson>('GET', `/v1/dns/lookup?${query}`);
    const described = { ...answer, ...(extendedError !== undefined && { extendedError }) };
    return { question, answer: described, steps: steps as readonly TraceStep[], ms, daemon: client.socketPath };
  } catch (error) {
    const nobody = error instanceof SlipwayError && error.code === 'ERR_CONTROL_UNREACHABLE';
    if (nobody && control === undefined) return undefined;
    throw error;
  }
}

function reverseName(text: string): string | undefined {
  const v4 = parseIpv4Address(text);
  if (v4 !== undefined) return reverseIpv4Name(v4);
  const v6 = parseIpv6Address(text);
  return v6 === undefined ? undefined : reverseIpv6Name(v6);
}

function usage(what: string, expected: string, found: string): SlipwayError {
  const hint = 'slipway dns --help shows examples.';
  return new SlipwayError('ERR_USAGE', `${what}: expected ${expected}, found ${shown(found)}`, hint);
}

async function configOfFile(file: string | undefined): Promise<Config> {
  let input: ConfigInput = {};
  if (file !== undefined) {
    const { readConfigFile } = await import('../config/parse.ts');
    input = readConfigFile(file);
  }
  return resolveConfig(mergeConfig({}, input));
}

function stackOf(config: Config): DnsStack {
  const tell = (message: string): void => say(STANDARD_ERROR, `slipway: ${message}\n`);
  const log = { info: tell, warn: tell };
  return dnsStack({ ...config, counters: new Counters(), log, random: new BatchedRandom() });
}

function statusOf({ rcode, answer }: DescribedMessage): number {
  if (rcode === 'NXDOMAIN') return STATUS_NONE;
  if (rcode !== 'NOERROR') return STATUS_NO_ANSWER;
  return answer.length > 0 ? STATUS_FOUND : STATUS_NONE;
}

function asText(found: Found, explain: boolean): string {
  const { question, answer, steps, ms, daemon } = found;
  const lines = explain ? [...steps.map(explainedStep), ''] : [];
  lines.push(...answer.answer.map(line));
  if (answer.answer.length === 0) lines.push(...answer.authority.map((record) => `; ${line(record)}`));
  const { extendedError } = answer;
  const facts = [
    answer.rcode,
    ...(answer.rcode === 'NOERROR' && answer.answer.length === 0 ? [`no ${dnsTypeName(question.type)} record`] : []),
    ...(answer.authenticated ? ['authenticated (AD)'] : []),
    ...(extendedError === undefined ? [] : [`error ${extendedError.code}: ${extendedError.text}`]),
    ...(explain ? life(answer) : []),
    milliseconds(ms),
    ...(daemon === undefined ? [] : [`asked the daemon at ${daemon}`]),
  ];
  return `${lines.join('\n')}${lines.length > 0 ? '\n' : ''}; ${facts.join(', ')}\n`;
}

/** The shortest TTL is what an asker may keep the answer for. */
function life({ answer, authority }: DescribedMessage): string[] {
  const seconds = (answer.length > 0 ? answer : authority).map(({ ttlSeconds }) => ttlSeconds);
  return seconds.length > 0 ? [`TTL ${Math.min(...seconds)} s`] : [];
}

function line({ name, ttlSeconds, type, data }: DescribedRecord): string {
  return [name, ttlSeconds, 'IN', type, data].join('\t');
}

function asJson({ question, answer, steps, ms, daemon }: Found): string {
  const { name, type } = question;
  return `${JSON.stringify({ name, type: dnsTypeName(type), ...answer, steps, ms: Math.round(ms * 1000) / 1000, daemon: daemon ?? null })}\n`;
}
