import type { Config } from '../config/config.ts';
import type { ZoneStore } from '../services/dns/zones/zone-store.ts';
import { ForwardStore } from '../services/forward/forward-store.ts';
import { ForwardTable } from '../services/forward/forward-table.ts';
import { boundForwardPorts, namedForwardPorts } from './forward-ports.ts';
import type { ControlLog, NetworkControl } from './network-control.ts';

export interface RunningForwardsOptions {
  readonly config: Config;
  readonly engine: 'epoll' | 'node';
  readonly zones: ZoneStore;
  readonly log: ControlLog;
  readonly control: NetworkControl;
}

/** The table of forwards, joined to the network, the host's ports and the names. */
export function runningForwards({ config, engine, zones, log, control }: RunningForwardsOptions): ForwardTable {
  const { state: folder, network, helper } = config;
  return new ForwardTable({
    guests: network,
    store: folder === '' ? undefined : new ForwardStore({ folder, subnet: network.subnet, log }),
    edges: {
      ports: engine === 'epoll' ? boundForwardPorts(helper) : namedForwardPorts(),
      network: control.forwards,
      guestAddresses: async () => {
        const { guests, leases } = await control.ask('status');
        return new Set([...guests, ...leases].flatMap(({ address }) => address ?? []));
      },
      names: {
        add: (name, address) => zones.setServiceName(name, address),
        remove: (name) => zones.removeServiceName(name),
      },
      openSsh: async ({ guest }, sockets, reached) => {
        if (guest.kind !== 'ssh') throw new Error('no sshd to go through');
        const { SshForward } = await import('../services/forward/ssh-forward.ts');
        return SshForward.listen(guest, sockets, (address, port) => control.guests.dial(address, port), reached);
      },
      log,
      schedule: (ms, act) => {
        const timer = setTimeout(act, ms);
        timer.unref();
        return () => clearTimeout(timer);
      },
    },
  });
}
