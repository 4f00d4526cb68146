import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';
import { formatIpv6Address, parseIpv6Address } from '../wire/ipv6-address.ts';

/**
 * An address to listen at in the one spelling by which two are the same: IPv4 dotted, IPv6 as RFC 5952 with its zone ("fe80::1%eth0"),
 * '' for every address ("" or "*"), IPv4 in IPv6's form as IPv4. Undefined for what is no address.
 */
export function listenAddress(text: string): string | undefined {
  if (text === '' || text === '*') return '';
  const address4 = parseIpv4Address(text);
  if (address4 !== undefined) return formatIpv4Address(address4);
  const [plain = '', zone, more] = text.split('%');
  const address6 = parseIpv6Address(plain);
  if (address6 === undefined || more !== undefined || (zone !== undefined && !/^[\w.-]+$/.test(zone))) return undefined;
  const shown = formatIpv6Address(address6, 0);
  if (shown.startsWith('::ffff:') && shown.includes('.')) return zone === undefined ? shown.slice(7) : undefined;
  return zone === undefined ? shown : `${shown}%${zone}`;
}
