import type { DockerBind } from '../../config/docker.ts';

/** The address to bind at the host for Docker's `HostIp`; '' is every address, IPv4 and IPv6. */
export function bindAddress(hostIp: string, bind: DockerBind): string {
  if (hostIp === '') return bind === 'all' ? '' : '127.0.0.1';
  if (bind !== 'local-only') return hostIp;
  return hostIp === '0.0.0.0' ? '127.0.0.1' : hostIp === '::' ? '::1' : hostIp;
}
