import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { SlipwayError } from '../facts/errors.ts';
import type { HostErrorCode } from '../env/host.ts';
import { SocketFile } from '../host/files/socket-file.ts';
import type { ForwardPorts, OpenPorts, PortRequest } from '../services/forward/edges.ts';

/** How often another port is chosen because its twin of the other family is taken. */
const CHOICES = 32;

/** What only the epoll engine needs, with the FFI that it brings. */
interface Binding {
  readonly openPorts: typeof import('../host/ports/open-ports.ts').openPorts;
  readonly closePorts: typeof import('../host/ports/bind.ts').closePorts;
  readonly bindUnix: typeof import('../host/ports/bind-unix.ts').bindUnix;
}

async function loadBinding(): Promise<Binding> {
  const [{ openPorts }, { closePorts }, { bindUnix }] = await Promise.all([
    import('../host/ports/open-ports.ts'),
    import('../host/ports/bind.ts'),
    import('../host/ports/bind-unix.ts'),
  ]);
  return { openPorts, closePorts, bindUnix };
}

/**
 * Ports for the epoll engine: bound here and by the privileged helper, listened on by the network thread. All that
 * needs the FFI is loaded with the first forward.
 */
export function boundForwardPorts(helper: string): ForwardPorts {
  let loading: Promise<Binding> | undefined;
  const load = (): Promise<Binding> => {
    loading ??= loadBinding();
    return loading;
  };
  return {
    open: async (request) => {
      const { openPorts, closePorts } = await load();
      const ports = await openPorts(request, { helper });
      return { ...ports, close: () => closePorts(ports), isThere: () => true, removeFile: () => {} };
    },
    openUnix: async (path) => {
      const { bindUnix, closePorts } = await load();
      const { file, ...ports } = bindUnix(path);
      return {
        ...ports,
        close: () => closePorts(ports),
        isThere: () => file.standing === 'ours',
        removeFile: () => file.remove(),
      };
    },
    refusal,
  };
}

/**
 * Node binds a unix socket with the mode that the umask gives. Only the main thread can set it, for the whole process.
 */
class PrivateFiles {
  #holders = 0;
  #before = 0;

  /** New files are this user's only, until the function that it returns is called. */
  hold(): () => void {
    if (this.#holders++ === 0) this.#before = process.umask(0o077);
    let held = true;
    return () => {
      if (held && --this.#holders === 0) process.umask(this.#before);
      held = false;
    };
  }
}

const privateFiles = new PrivateFiles();

/**
 * Ports for the portable engine, which binds by itself. Done here is only what must come before: choosing a port,
 * freeing a path.
 */
export function namedForwardPorts(): ForwardPorts {
  return {
    open: async (request): Promise<OpenPorts> => {
      const port = request.port === 0 ? await choosePort(request) : request.port;
      const sockets = Array.from({ length: request.count }, (_, index) =>
        addressesOf(request).map((address) => ({ address, port: port + index, index })),
      ).flat();
      return {
        sockets: { kind: 'addresses', addresses: sockets },
        boundPort: port,
        descriptors: sockets.length,
        close: () => {},
        isThere: () => true,
        removeFile: () => {},
      };
    },
    openUnix: async (path): Promise<OpenPorts> => {
      const { freeSocketPath } = await import('./free-socket-path.ts');
      const file = new SocketFile(path);
      await freeSocketPath(file);
      const release = privateFiles.hold();
      return {
        handedOver: () => {
          release();
          file.claim();
        },
        sockets: { kind: 'addresses', addresses: [{ address: '', port: 0, index: 0, path }] },
        boundPort: 0,
        descriptors: 1,
        close: () => {},
        isThere: () => file.standing === 'ours',
        // The network thread's, whose server libuv closes with it (`SocketFile.closing`).
        removeFile: () => {},
      };
    },
    refusal,
  };
}

async function refusal(request: PortRequest | string, errno: HostErrorCode): Promise<SlipwayError> {
  if (typeof request === 'string') {
    const code = errno === 'EADDRINUSE' ? 'ERR_PORT_IN_USE' : 'ERR_PORT_FAILED';
    return new SlipwayError(code, `listen unix ${request}: ${errno}`, 'Choose another path.');
  }
  if (process.platform === 'linux') {
    const [{ portError }, { placesOf }] = await Promise.all([
      import('../host/ports/port-error.ts'),
      import('../host/ports/places.ts'),
    ]);
    const place = placesOf(request.address, request.ipv4Only)?.[0];
    if (place !== undefined) return portError(request, { failure: 'refused', errno, place, port: request.port });
  }
  return new SlipwayError(
    CODES[errno] ?? 'ERR_PORT_FAILED',
    `listen ${request.protocol} ${request.address || '*'}:${request.port}: bind: ${errno}`,
    'Publish at another port or address.',
  );
}

const CODES: Readonly<Partial<Record<HostErrorCode, SlipwayError['code']>>> = {
  EADDRINUSE: 'ERR_PORT_IN_USE',
  EACCES: 'ERR_PORT_DENIED',
  EADDRNOTAVAIL: 'ERR_PORT_ADDRESS',
  EMFILE: 'ERR_PORT_LIMIT',
};

function addressesOf({ address, ipv4Only }: PortRequest): readonly string[] {
  if (address !== '') return [address];
  return ipv4Only ? ['0.0.0.0'] : ['0.0.0.0', '::'];
}

/** A port that is free at all of the addresses just now. */
async function choosePort(request: PortRequest): Promise<number> {
  const [first = '', ...others] = addressesOf(request);
  let failure: unknown;
  for (let choice = 0; choice < CHOICES; choice++) {
    try {
      const port = await probe(request.protocol, first, 0);
      for (const address of others) await probe(request.protocol, address, port);
      return port;
    } catch (error) {
      failure = error;
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') break;
    }
  }
  throw await refusal(request, (failure as { readonly code: HostErrorCode }).code);
}

/** Binds and gives back; resolves with the port. */
function probe(protocol: 'tcp' | 'udp', address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    if (protocol === 'tcp') {
      const server = createServer();
      server.once('error', reject);
      server.listen({ host: address, port, ipv6Only: true, exclusive: true }, () => {
        const bound = server.address() as { readonly port: number };
        server.close(() => resolve(bound.port));
      });
      return;
    }
    const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', ipv6Only: address.includes(':') });
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      const { port: bound } = socket.address();
      socket.close(() => resolve(bound));
    });
  });
}
