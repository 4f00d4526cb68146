import type { Carrier } from '../attachment/kinds/kind.ts';
import type { AttachmentPlace } from '../env/attachment-place.ts';
import type { AcceptGuest } from '../env/host.ts';
import { SlipwayError } from '../facts/errors.ts';
import { boundPort, openListeningSocket } from '../host/epoll/attachment-listener.ts';
import type { EpollHost } from '../host/epoll/engine.ts';
import type { KernelMemory } from '../host/epoll/kernel-memory.ts';
import { SOCK_DGRAM } from '../host/epoll/libc.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { Listening, ListenRequest } from './thread-engine.ts';

/** An attachment that this engine made: where it is, and its end. Guests that it took stay. */
export interface EpollAttachment extends Listening {
  close(): void;
}

/** What a maker works with. */
export interface EpollParts {
  readonly host: EpollHost;
  readonly memory: KernelMemory;
}

type EpollMaker = (parts: EpollParts, request: ListenRequest, accept: AcceptGuest) => EpollAttachment;

/** How the epoll engine makes each carrier; one that is not here does not compile. */
export const EPOLL_ATTACHMENTS: Readonly<Record<Carrier, EpollMaker>> = {
  stream({ host, memory }, { url, fd: given }, accept) {
    const place = url.target;
    if (url.connect) {
      const dialer = host.redial(place, accept);
      return { fd: -1, port: 0, close: () => dialer.close() };
    }
    const fd = opened(place, given ?? openListeningSocket(memory, place));
    const listener = host.listen(fd, accept);
    return { fd, port: place.kind === 'tcp' ? boundPort(memory, fd) : 0, close: () => listener.close() };
  },
  datagram({ host, memory }, { url, fd: given }, accept) {
    const fd = opened(url.target, given ?? openListeningSocket(memory, url.target, SOCK_DGRAM));
    const datagrams = host.serveGuestDatagrams(fd, accept);
    return { fd, port: 0, close: () => datagrams.close() };
  },
};

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EACCES: 'Choose a folder that you may write to, or a port above 1023.',
  ENOTSOCK: 'The path is a file that is not a socket: move it away, or choose another path.',
};

/** The socket, or what its errno means to people: throws ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
function opened(place: AttachmentPlace, fd: number | string): number {
  if (typeof fd === 'number') return fd;
  const shown = place.kind === 'unix' ? place.path : `${formatIpv4Address(place.address)}:${place.port}`;
  if (fd === 'EADDRINUSE') {
    throw new SlipwayError(
      'ERR_LISTEN_IN_USE',
      `another process listens at ${shown}`,
      'Stop it, or choose another address with --listen.',
    );
  }
  if (fd === 'EMFILE' || fd === 'ENFILE') {
    throw new SlipwayError(
      'ERR_LISTEN_FAILED',
      `cannot listen for guests at ${shown}: all descriptors are in use (${fd})`,
      'Raise the limit of open files: ulimit -n 4096.',
    );
  }
  throw new SlipwayError(
    'ERR_LISTEN_FAILED',
    `cannot listen for guests at ${shown} (${fd})`,
    LISTEN_HINTS[fd] ?? 'Check the address.',
  );
}
