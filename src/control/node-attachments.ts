import type { Carrier } from '../attachment/kinds/kind.ts';
import { dialPipes, listenPipes, type PipeEndpointOptions, type PipeTarget } from '../host/node/pipe-endpoints.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { ListenRequest } from './thread-engine.ts';
import { EngineLack } from './engine-lack.ts';

/** An attachment that this engine made. Guests that it took stay when it is closed. */
export interface NodeAttachment {
  /** TCP: the bound port. Else 0. */
  readonly port: number;
  close(): void;
}

type NodeMaker = (request: ListenRequest, options: PipeEndpointOptions) => Promise<NodeAttachment>;

/** How the portable engine makes each carrier, or why it cannot; one that is not here does not compile. */
export const NODE_ATTACHMENTS: Readonly<Record<Carrier, NodeMaker | EngineLack>> = {
  async stream({ url: { connect, target } }, options) {
    const where: PipeTarget =
      target.kind === 'unix' ? { path: target.path } : { host: formatIpv4Address(target.address), port: target.port };
    if (!connect) return listenPipes(where, options);
    return { port: 0, close: dialPipes(where, options).close };
  },
  datagram: new EngineLack(
    'the portable engine has no unix datagram sockets, since Node has none',
    'Use --host-engine epoll, on Linux, or attach by qemu+unix.',
  ),
};
