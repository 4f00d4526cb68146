import { SlipwayError } from '../../facts/errors.ts';
import type { ForwardSpec, ForwardStatus } from '../../config/forward.ts';
import type { Forwards } from '../../services/forward/forwards.ts';

/**
 * Adds a forward for clients of gvproxy and vpnkit. Those expect an error where our own API waits (the address does not
 * exist) or shares (somebody else has made the same forward). The message of such an error begins like the kernel's.
 */
export async function openForward(forwards: Forwards, spec: ForwardSpec): Promise<ForwardStatus> {
  const changed = new Set<string>();
  const forget = forwards.onChange(({ id }) => void changed.add(id));
  try {
    const status = await forwards.open(spec);
    const { id, code, why } = status;
    if (status.spec.owner !== spec.owner || !changed.has(id)) {
      throw inUse(spec, `${id} is forwarded by ${status.spec.owner} already`);
    }
    if (code !== 'ERR_PORT_ADDRESS') return status;
    await forwards.close(id);
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
