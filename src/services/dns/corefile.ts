import { formatIpv4Address } from '../../wire/ipv4-address.ts';

/** Names that need no quoting in a Corefile. The gateway's other server answers all other zones as well. */
const PLAIN_NAME = /^[a-z0-9._-]+$/;
/** Three times the default lifetime of getaddrinfo's answers; the gateway itself keeps answers longer. */
const CACHE_SECONDS = 30;

interface CorefileOptions {
  readonly gateway: number;
  /** Zones that Slipway answers, in lower case. */
  readonly zones: readonly string[];
  /** Port of the internal server. */
  readonly internalPort: number;
  /** Where CoreDNS is to listen, as text. */
  readonly bind: readonly string[];
}

/** A Corefile with which a CoreDNS in the virtual machine does what `slipway guest dns` does. */
export function corefile({ gateway, zones, internalPort, bind }: CorefileOptions): string {
  const address = formatIpv4Address(gateway);
  const names = zones.filter((name) => PLAIN_NAME.test(name) && !zones.some((above) => name.endsWith(`.${above}`)));
  const internal = block(names.join(' '), [
    `bind ${bind.join(' ')}`,
    'errors',
    // What is added at run time shows at once: nothing is kept.
    `forward . ${address}:${internalPort}`,
  ]);
  const rest = block('.', [
    `bind ${bind.join(' ')}`,
    'errors',
    'loop',
    `cache ${CACHE_SECONDS}`,
    `forward . ${address}`,
  ]);
  return [
    "# CoreDNS for the virtual machine: the names of Slipway and Docker from the gateway's internal server,",
    '# all others as the computer itself would answer them. Made by: slipway dns corefile',
    ...(names.length > 0 ? [internal] : []),
    rest,
    '',
  ].join('\n');
}

function block(names: string, lines: readonly string[]): string {
  return `${names} {\n${lines.map((line) => `    ${line}`).join('\n')}\n}`;
}
