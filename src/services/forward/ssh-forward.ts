import { createServer, type Server, type Socket } from 'node:net';
import type { ClientChannel } from 'ssh2';
import type { BoundSockets } from '../../env/host-listener.ts';
import type { RelayReach, SocketRelay } from './edges.ts';
import { type DialGuest, readKey, SshClient, type SshEnd } from './ssh-client.ts';

/** 1,024 clients: each is a descriptor and a channel. */
const MAX_CLIENTS = 1_024;

/**
 * A unix socket of the host that reaches one in a guest, through the guest's sshd: the channel
 * direct-streamlocal@openssh.com (PROTOCOL §2.4 of OpenSSH) for each client, all in one connection. It runs on the
 * control thread, as all conversation does.
 *
 * A client is accepted at once and held until its channel is open or known not to be; then it is closed. Half-close
 * passes both ways.
 */
export class SshForward implements SocketRelay {
  readonly #ssh: SshClient;
  readonly #server: Server;
  readonly #reached: RelayReach;
  readonly #clients = new Set<Socket>();
  #closed = false;

  /** Listens on the bound socket. Rejects with ERR_SSH_KEY where there is no key, or with what the host says. */
  static async listen(end: SshEnd, sockets: BoundSockets, dial: DialGuest, reached: RelayReach): Promise<SshForward> {
    await readKey(end);
    const forward = new SshForward(end, dial, reached);
    await forward.#listen(sockets);
    return forward;
  }

  private constructor(end: SshEnd, dial: DialGuest, reached: RelayReach) {
    this.#ssh = new SshClient(end, dial, () =>
      this.#wait('the connection to its sshd ended; the next client opens another'),
    );
    this.#reached = reached;
    this.#wait('its sshd is dialled when the first client comes');
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => void this.#serve(client));
    this.#server.maxConnections = MAX_CLIENTS;
  }

  get connections(): number {
    return this.#clients.size;
  }

  close(connections: boolean): void {
    this.#closed = true;
    this.#server.close();
    if (connections) for (const client of this.#clients) client.destroy();
    if (connections || this.#clients.size === 0) this.#ssh.close();
  }

  #listen(sockets: BoundSockets): Promise<void> {
    const place =
      sockets.kind === 'descriptors'
        ? { fd: sockets.fds[0] }
        : { path: sockets.addresses[0]?.path, readableAll: false };
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(place, () => {
        this.#server.off('error', reject);
        // EMFILE and the like: libuv goes on by itself.
        this.#server.on('error', () => {});
        resolve();
      });
    });
  }

  /** Nobody is known to be there: that would have to be asked all the time. */
  #wait(why: string): void {
    if (!this.#closed) this.#reached('down', why);
  }

  async #serve(client: Socket): Promise<void> {
    this.#clients.add(client);
    client.on('error', () => {});
    client.once('close', () => {
      this.#clients.delete(client);
      if (this.#closed && this.#clients.size === 0) this.#ssh.close();
    });
    try {
      const channel = await this.#ssh.channel();
      this.#reached('up', '');
      join(client, channel);
    } catch (error) {
      client.destroy();
      if (!this.#closed) this.#reached('down', (error as Error).message);
    }
  }
}

/** Both directions, each with its own end; what breaks one side breaks the other. */
function join(client: Socket, channel: ClientChannel): void {
  if (client.destroyed) {
    channel.destroy();
    return;
  }
  let ended = false;
  channel.on('error', () => {});
  channel.once('end', () => {
    ended = true;
  });
  channel.once('close', () => {
    if (!ended) client.destroy();
  });
  client.once('close', () => channel.destroy());
  client.pipe(channel);
  channel.pipe(client);
}
