import type { ApiConfig } from './api-config.ts';

/**
 * What Slipway itself serves at a port of the gateway, for a person; undefined where there is nothing. A service of the host there
 * would go before it (`decide` in src/flow/route.ts), and take it away from all guests. Held against GATEWAY_SERVICES by a test.
 */
export function servedAtGateway(protocol: 'tcp' | 'udp', port: number, api: ApiConfig): string | undefined {
  switch (`${protocol}:${port}`) {
    case 'udp:53':
    case 'tcp:53':
      return 'the DNS of all guests';
    case 'udp:5301':
    case 'tcp:5301':
      return "the DNS server for Slipway's own zones";
    case 'tcp:80':
      return api.guest === 'none'
        ? undefined
        : 'the API by which guests publish their ports (api.guest: none removes it)';
    default:
      return undefined;
  }
}
