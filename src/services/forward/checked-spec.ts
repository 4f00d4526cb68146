import { type ForwardSpec, forwardId } from '../../config/forward.ts';
import { forwardFault } from '../../config/forward-rules.ts';
import type { AddressPlan } from '../../config/network.ts';
import { listenAddress } from '../../config/port-spec.ts';
import { SlipwayError } from '../../facts/errors.ts';

/**
 * The specification with its address in the one spelling that the table compares. Throws SlipwayError
 * ERR_FORWARD_INVALID.
 */
export function checkedSpec(spec: ForwardSpec, network: AddressPlan): ForwardSpec {
  const fault = forwardFault(spec, network);
  if (fault !== undefined) {
    throw new SlipwayError('ERR_FORWARD_INVALID', `cannot forward ${forwardId(spec)}: ${fault.why}`, fault.hint);
  }
  const { host } = spec;
  return host.kind === 'unix' ? spec : { ...spec, host: { ...host, address: listenAddress(host.address)! } };
}
