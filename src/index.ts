/**
 * Slipway inside a program of your own: a network for virtual machines, namespaces and guests in memory.
 *
 * ```ts
 * import { startNetwork } from 'slipway';
 *
 * const network = await startNetwork({ network: { subnet: '10.0.2.0/24' } });
 * await network.listen('qemu+unix:///tmp/vm.sock');
 * await network.publish('127.0.0.1:8080:80');
 * ```
 *
 * @module
 */
export type {
  EventJson,
  FlowJson,
  ForwardJson,
  GuestJson,
  LeaseJson,
  RecordJson,
  ServiceJson,
  SshJson,
  ZoneJson,
} from './api/v1/contract.ts';
export type { ForwardOwner } from './config/forward.ts';
export type { CommandGuest } from './embedding/command-guest.ts';
export type { InMemoryGuest } from './embedding/in-memory-guest.ts';
export type {
  ForwardInput,
  ForwardOptions,
  RecordInput,
  ServiceInput,
  TapInput,
  ZoneInput,
} from './embedding/inputs.ts';
export type { NetworkConfig } from './embedding/network-config.ts';
export { type NetworkHooks, type NetworkLog, startNetwork, VirtualNetwork } from './embedding/virtual-network.ts';
export { ERRORS, type ErrorCode, SlipwayError } from './facts/errors.ts';
export type { DescribedMessage, DescribedRecord } from './services/dns/described-message.ts';
export type { DnsExtendedError } from './wire/dns-edns.ts';
