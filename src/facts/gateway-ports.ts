import { DNS_PORT } from '../wire/dns-message.ts';

/** Slipway's own servers at the gateway's address. */
export type GatewayServiceName = 'dns' | 'dns-internal' | 'api-guest';

/**
 * Of the server that answers Slipway's own zones only: for a resolver in the guest that has the rest from elsewhere.
 */
export const INTERNAL_DNS_PORT = 5301;
/** Of gvproxy's forwarder API for guests; where none listens, the port refuses. */
const GUEST_API_PORT = 80;

/** Protocol and port → name. */
export const GATEWAY_SERVICES: ReadonlyMap<string, GatewayServiceName> = new Map([
  [`udp:${DNS_PORT}`, 'dns'],
  [`tcp:${DNS_PORT}`, 'dns'],
  [`udp:${INTERNAL_DNS_PORT}`, 'dns-internal'],
  [`tcp:${INTERNAL_DNS_PORT}`, 'dns-internal'],
  [`tcp:${GUEST_API_PORT}`, 'api-guest'],
]);

/** The same for a person. */
export const GATEWAY_SERVICE_TITLES: Readonly<Record<GatewayServiceName, string>> = {
  dns: 'the DNS of all guests',
  'dns-internal': "the DNS server for Slipway's own zones",
  'api-guest': 'the API by which guests publish their ports (api.guest: none removes it)',
};
