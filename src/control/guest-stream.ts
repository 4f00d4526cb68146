import { SlipwayError } from '../facts/errors.ts';
import type { CoreNetwork } from '../network/core-network.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';

/** One end of a pair of connected stream sockets, and the guest's port that it becomes a connection to. */
export interface GuestStreamRequest {
  /** Owned by the network from the request on, also when it is refused. */
  readonly fd: number;
  /** IPv4; 0: the first guest. */
  readonly address: number;
  readonly port: number;
}

/** Resolves when the guest has accepted. Rejects with ERR_GUEST_REFUSED, ERR_GUEST_UNREACHABLE or ERR_GUEST_TIMEOUT. */
export function openGuestStream(network: CoreNetwork, { fd, address, port }: GuestStreamRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    network.openGuestStream(fd, address, port, (failure) => {
      if (failure === undefined) resolve();
      else reject(guestStreamError(failure, address, port));
    });
  });
}

function guestStreamError(failure: string, address: number, port: number): SlipwayError {
  const guest = address === 0 ? 'the first guest' : formatIpv4Address(address);
  switch (failure) {
    case 'refused':
      return new SlipwayError('ERR_GUEST_REFUSED', `${guest} refuses connections at port ${port}`);
    case 'no-guest':
      return new SlipwayError(
        'ERR_GUEST_UNREACHABLE',
        address === 0 ? 'no guest is there' : `no guest has the address ${guest}`,
      );
    case 'timeout':
      return new SlipwayError('ERR_GUEST_TIMEOUT', `${guest} does not answer at port ${port}`);
    case 'limit':
      return new SlipwayError('ERR_GUEST_UNREACHABLE', `there are too many connections for another one to ${guest}`);
    default:
      return new SlipwayError('ERR_SYSTEM_CALL', `the stream for ${guest} cannot be used: ${failure}`);
  }
}
