import type { ApiConfig } from '../../config/api.ts';
import type { GatewayServiceMaker } from '../../control/start-network.ts';
import { GuestApi } from './guest-api.ts';

/** What listens at the gateway's port 80, as the configuration has it. */
export function guestApiServices({ guest }: ApiConfig): GatewayServiceMaker[] {
  if (guest === 'none') return [];
  return [
    ({ forwards, counters }) => {
      const load = async () => (await import('./port-forwarder.ts')).portForwarder(forwards);
      const api = new GuestApi(load, counters);
      return { name: 'api-guest', server: api.server, close: () => api.close() };
    },
  ];
}
