import { SlipwayError } from '../config/errors.ts';
import type { ForwardSpec, ForwardStatus } from '../config/forward.ts';
import type { Forwards } from '../services/forward/forwards.ts';

/**
 * Adds a forward for clients of gvproxy and vpnkit, who know neither waiting nor sharing: an address that is not there now is an error,
 * and so is a forward of someone else's that does the same. Every message for what holds the port begins as the kernel's would.
 */
export async function openForward(forwards: Forwards, spec: ForwardSpec): Promise<ForwardStatus> {
  const changed = new Set<string>();
  const forget = forwards.onChange(({ id }) => void changed.add(id));
  try {
    const status = await forwards.add(spec);
    const { id, code, why } = status;
    if (status.spec.owner !== spec.owner || !changed.has(id)) {
      throw inUse(spec, `${id} is forwarded by ${status.spec.owner} already`);
    }
    if (code !== 'ERR_PORT_ADDRESS') return status;
    await forwards.remove(id);
    throw new SlipwayError('ERR_PORT_ADDRESS', why);
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'ERR_FORWARD_EXISTS') throw error;
    throw inUse(spec, error.message);
  } finally {
    forget();
  }
}

function inUse({ protocol, host }: ForwardSpec, why: string): SlipwayError {
  const place = host.kind === 'unix' ? host.path : showPort(host.address, host.port);
  return new SlipwayError('ERR_PORT_IN_USE', `listen ${protocol} ${place}: bind: address already in use: ${why}`);
}

function showPort(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}
