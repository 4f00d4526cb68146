import type { Workshop } from '../programs.ts';
import { type Backend, type Lane, type Setting, startNamespaceLane } from './backend.ts';

const GATEWAY = '10.0.2.2';

/** Debian's slirp4netns: it attaches to the guest's tap itself, whatever the setting; the gateway is the host. */
export const slirp4netns: Backend = {
  name: 'slirp4netns',
  start(setting: Setting, workshop: Workshop): Promise<Lane> {
    return startNamespaceLane(
      workshop,
      {
        network: { mtu: setting.mtu, address: '10.0.2.100', gateway: GATEWAY },
        host: GATEWAY,
        argv: (guest) => ['slirp4netns', `--mtu=${setting.mtu}`, '--netns-type=path', guest.path, guest.tap],
      },
      setting,
    );
  },
};
