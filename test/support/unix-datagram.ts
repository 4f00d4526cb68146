import koffi from 'koffi';

/** The guest's end of a datagram attachment: a unix datagram socket, which Node has none of. Nothing here blocks. */
const libc = koffi.load(null);
const socket = libc.func('int socket(int, int, int)');
const bind = libc.func('int bind(int, void *, int)');
const connect = libc.func('int connect(int, void *, int)');
const sendto = libc.func('int64_t sendto(int, void *, size_t, int, void *, int)');
const recv = libc.func('int64_t recv(int, _Out_ uint8_t *, size_t, int)');
const close = libc.func('int close(int)');

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_FLAGS = 0o4000 | 0o2000000;
const MSG_DONTWAIT = 0x40;
const NAMES = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number as number, name]));

export class UnixDatagram {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(70_000);

  /** Bound at `path`; without one the socket has no address. */
  constructor(path?: string) {
    this.#fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_FLAGS, 0) as number;
    if (path !== undefined && bind(this.#fd, address(path), address(path).length) < 0) throw new Error(lastError());
  }

  /** As vfkit and krunkit do: nobody else's datagrams arrive any more. '' or what went wrong. */
  connect(path: string): string {
    return connect(this.#fd, address(path), address(path).length) < 0 ? lastError() : '';
  }

  /** Sends one datagram, to `path` unless connected. '' or what went wrong. */
  send(bytes: Uint8Array, path?: string): string {
    const to = path === undefined ? null : address(path);
    return sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT, to, to?.length ?? 0) < 0 ? lastError() : '';
  }

  /** The next datagram that waits. */
  receive(): Uint8Array | undefined {
    const length = Number(recv(this.#fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT));
    return length < 0 ? undefined : Uint8Array.from(this.#buffer.subarray(0, length));
  }

  /** As when its program is killed: the file stays. */
  close(): void {
    close(this.#fd);
  }
}

function address(path: string): Buffer {
  const bytes = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
  bytes.writeUInt16LE(AF_UNIX, 0);
  bytes.write(path, 2);
  return bytes;
}

function lastError(): string {
  return NAMES.get(koffi.errno()) ?? `errno ${koffi.errno()}`;
}
