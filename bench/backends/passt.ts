import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Workshop } from '../programs.ts';
import { type Backend, type Lane, type Setting, startNamespaceLane } from './backend.ts';

const GATEWAY = '192.168.65.1';
const GUEST = '192.168.65.3';

/** Debian's user and group `nobody`: passt binds its socket as that one, and does not say so when it cannot. */
const NOBODY = 65534;

let sockets = 0;

/** Debian's passt. Started as root it becomes `nobody`; the gateway's address reaches the host's loopback. */
export const passt: Backend = {
  name: 'passt',
  start(setting: Setting, workshop: Workshop): Promise<Lane> {
    const folder = join(workshop.folder, 'passt');
    mkdirSync(folder, { recursive: true });
    chownSync(folder, NOBODY, NOBODY);
    const socketPath = join(folder, `${sockets++}.sock`);
    return startNamespaceLane(
      workshop,
      {
        network: { mtu: setting.mtu, address: GUEST, gateway: GATEWAY },
        host: GATEWAY,
        socketPath,
        argv: (_guest, ports) => [
          ...['passt', '--foreground', '--quiet', '--ipv4-only', '--socket', socketPath, '--mtu', `${setting.mtu}`],
          ...['--address', GUEST, '--netmask', '24', '--gateway', GATEWAY],
          ...ports.flatMap((port) => ['--tcp-ports', `127.0.0.1/${port}`]),
        ],
      },
      setting,
    );
  },
};
