import type { RunningNetwork } from '../control/start-network.ts';
import type { ControlExtension } from './control-app.ts';
import { DnsZones } from './gvproxy/dns-zones.ts';
import { gvproxyExtension } from './gvproxy/gvproxy-routes.ts';
import { portForwarder } from './gvproxy/port-forwarder.ts';
import { vpnkitExtension } from './vpnkit/vpnkit-routes.ts';

/** The APIs of gvproxy and vpnkit on the control sockets of a network. `gatewayMac`: what guests know the gateway by. */
export function compatExtensions(
  network: Pick<RunningNetwork, 'config' | 'control' | 'dns' | 'forwards' | 'status'>,
  gatewayMac: number,
): ControlExtension[] {
  const { config, control, dns, forwards } = network;
  const gvproxy = gvproxyExtension({
    forwarder: portForwarder(forwards),
    zones: new DnsZones(dns.zones),
    facts: {
      gateway: { address: config.network.gateway, mac: gatewayMac },
      reservations: config.dhcp.reservations,
      status: () => network.status(),
    },
    dialGuest: (address, port) => control.guestStream(address, port),
  });
  return [gvproxy, vpnkitExtension(forwards)];
}
