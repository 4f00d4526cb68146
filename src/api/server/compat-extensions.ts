import type { Config } from '../../config/config.ts';
import type { GuestLines } from '../../control/guest-lines.ts';
import type { RunningDns, RunningNetwork } from '../../control/start-network.ts';
import type { ControlExtension } from './control-app.ts';
import { DnsZones } from '../gvproxy/dns-zones.ts';
import { gvproxyExtension } from '../gvproxy/gvproxy-routes.ts';
import { portForwarder } from '../gvproxy/port-forwarder.ts';
import { vpnkitExtension } from '../vpnkit/vpnkit-routes.ts';

/** What they need of a running network. */
export interface CompatNetwork extends Pick<RunningNetwork, 'forwards' | 'status'> {
  readonly config: Pick<Config, 'network' | 'dhcp'>;
  readonly control: { readonly guests: Pick<GuestLines, 'dial' | 'attach'> };
  readonly dns: Pick<RunningDns, 'zones'>;
}

/** The APIs of gvproxy and vpnkit on the control sockets of a network. `gatewayMac`: what guests know the gateway by. */
export function compatExtensions(network: CompatNetwork, gatewayMac: number): ControlExtension[] {
  const { config, control, dns, forwards } = network;
  const gvproxy = gvproxyExtension({
    forwarder: portForwarder(forwards),
    zones: new DnsZones(dns.zones),
    facts: {
      gateway: { address: config.network.gateway, mac: gatewayMac },
      reservations: config.dhcp.reservations,
      status: () => network.status(),
    },
    dialGuest: (address, port) => control.guests.dial(address, port),
    attachGuest: () => control.guests.attach('/connect'),
  });
  return [gvproxy, vpnkitExtension(forwards)];
}
