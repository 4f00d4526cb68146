import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client, ClientChannel, ClientErrorExtensions, ConnectConfig } from 'ssh2';
import { SlipwayError } from '../../facts/errors.ts';
import type { GuestEnd } from '../../config/forward.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';

export type SshEnd = Extract<GuestEnd, { readonly kind: 'ssh' }>;

/** A connection to a guest's port; address 0 is the first guest. Rejects with ERR_GUEST_… */
export type DialGuest = (address: number, port: number) => Promise<Socket>;

/** As gvproxy: a guest that is just restarting its sshd is there again. */
const TRIES = 3;
const PAUSE_MS = 200;
/** Key exchange and login; a guest that boots on an emulated processor takes seconds. */
const READY_MS = 20_000;
/** A guest that sleeps or is gone is noticed after a minute. */
const KEEPALIVE_MS = 15_000;
const KEEPALIVES_MISSED = 4;
/** An RSA key of 16,384 bits has 12.5 KiB as PEM; what is larger is no key. */
const MAX_KEY_BYTES = 64 * 1024;

/** What another try does not change. */
const FINAL: ReadonlySet<string> = new Set(['ERR_SSH_KEY', 'ERR_SSH_LOGIN', 'ERR_SSH_HOST_KEY', 'ERR_SSH_SOCKET']);

/**
 * One SSH connection to a guest's sshd, made for the first channel and remade after it broke.
 *
 * The sshd's key is taken on trust at the first connection and held against it at every later one: another guest that
 * takes the address over has another key, and gets nothing. Nothing of it is written to disk: a new forward starts
 * without trust.
 *
 * States: none → connecting → connected → none (broken, or ended by `end`).
 */
export class SshClient {
  readonly #end: SshEnd;
  readonly #dial: DialGuest;
  readonly #broke: () => void;
  #client: Promise<Client> | undefined;
  #hostKey: Buffer | undefined;
  #closed = false;

  /** `broke` hears when a connection that stood has ended, but not by `end`. */
  constructor(end: SshEnd, dial: DialGuest, broke: () => void) {
    this.#end = end;
    this.#dial = dial;
    this.#broke = broke;
  }

  /** A stream to the guest's socket. Rejects with ERR_SSH_… or ERR_GUEST_… after the last of three tries. */
  async channel(): Promise<ClientChannel> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#openChannel(await this.#connection());
      } catch (error) {
        if (tries === TRIES || this.#closed || (error instanceof SlipwayError && FINAL.has(error.code))) throw error;
        await pause(PAUSE_MS);
      }
    }
  }

  /** Closes the connection with all of its channels. */
  close(): void {
    this.#closed = true;
    void this.#client?.then(
      (client) => client.end(),
      () => {},
    );
  }

  #connection(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const client = this.#connect();
    this.#client = client;
    client.catch(() => {
      if (this.#client === client) this.#client = undefined;
    });
    return client;
  }

  async #connect(): Promise<Client> {
    const { address, port, user, passphrase } = this.#end;
    const privateKey = await readKey(this.#end);
    const ssh2 = (await import('ssh2')).default;
    const key = ssh2.utils.parseKey(privateKey, passphrase);
    if (key instanceof Error) throw keyError(this.#end, key.message);
    const sock = await this.#dial(address ?? 0, port);
    // SSH knows no half-close: without this, one that the guest ended would stay "not connected" for ever.
    sock.once('end', () => sock.destroy());
    let strange = false;
    const client = new ssh2.Client();
    // One for each channel that is being opened.
    client.setMaxListeners(0);
    const config: ConnectConfig = {
      sock,
      username: user,
      privateKey,
      ...(passphrase !== undefined && { passphrase }),
      readyTimeout: READY_MS,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: KEEPALIVES_MISSED,
      hostVerifier: (shown: Buffer): boolean => {
        strange = this.#hostKey !== undefined && !this.#hostKey.equals(shown);
        if (!strange) this.#hostKey = Buffer.from(shown);
        return !strange;
      },
    };
    return new Promise((resolve, reject) => {
      let stood = false;
      client.on('ready', () => {
        stood = true;
        if (this.#closed) client.end();
        resolve(client);
      });
      // Errors after `ready` end in `close`, too.
      client.on('error', (error) => reject(connectError(this.#end, error, strange)));
      client.on('close', () => {
        this.#client = undefined;
        sock.destroy();
        if (stood && !this.#closed) this.#broke();
        reject(failed(this.#end, 'it closed the connection'));
      });
      client.connect(config);
    });
  }

  #openChannel(client: Client): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      const broken = (): void => reject(failed(this.#end, 'the connection broke'));
      client.once('close', broken);
      try {
        client.openssh_forwardOutStreamLocal(this.#end.path, (error, channel) => {
          client.off('close', broken);
          if (error === undefined) resolve(channel);
          else reject(channelError(this.#end, error));
        });
      } catch (error) {
        client.off('close', broken);
        reject(failed(this.#end, (error as Error).message));
      }
    });
  }
}

/** The private key's text. Rejects with ERR_SSH_KEY. */
export async function readKey(end: SshEnd): Promise<Buffer> {
  try {
    return await readBounded(end.keyFile);
  } catch (error) {
    throw keyError(end, (error as Error).message);
  }
}

/**
 * A client of the API names the file: a pipe must not hold one of the few threads that names are looked up by, a device
 * not fill the memory.
 */
async function readBounded(file: string): Promise<Buffer> {
  // Without O_NONBLOCK the open of a pipe waits for its writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) throw new Error('it is not a regular file');
    // One byte more than a key may have, and not the size that the file system names: the file may be growing.
    const room = Buffer.alloc(MAX_KEY_BYTES + 1);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await handle.read(room, bytes, room.length - bytes, bytes);
      bytes += bytesRead;
      if (bytes > MAX_KEY_BYTES) throw new Error(`it has more than ${MAX_KEY_BYTES} bytes`);
      if (bytesRead === 0) return room.subarray(0, bytes);
    }
  } finally {
    await handle.close();
  }
}

function keyError({ keyFile }: SshEnd, why: string): SlipwayError {
  const hint = /passphrase|encrypted/i.test(why)
    ? 'Give the right passphrase.'
    : 'Check the path and that you may read it.';
  return new SlipwayError('ERR_SSH_KEY', `the private key ${keyFile} cannot be used: ${why}`, hint);
}

function connectError(end: SshEnd, error: Error & ClientErrorExtensions, strange: boolean): SlipwayError {
  const at = place(end);
  if (strange) {
    return new SlipwayError(
      'ERR_SSH_HOST_KEY',
      `the sshd of ${at} shows a different host key than at the first connection`,
      'If the guest was recreated, remove the forward and add it again; otherwise another guest has its address.',
    );
  }
  if (error.level === 'client-authentication') {
    return new SlipwayError(
      'ERR_SSH_LOGIN',
      `the sshd of ${at} does not let ${end.user} in with the key ${end.keyFile}`,
      `Put its public half into the authorized_keys of ${end.user} in the guest.`,
    );
  }
  return failed(end, error.message);
}

function channelError(end: SshEnd, error: Error): SlipwayError {
  // "Not connected" and the like have no reason of the sshd's (RFC 4254 §5.1).
  if (!('reason' in error)) return failed(end, error.message);
  return new SlipwayError(
    'ERR_SSH_SOCKET',
    `the sshd of ${place(end)} cannot connect to ${end.path}: ${error.message}`,
    `Check that something listens there in the guest, that ${end.user} may use it, and that sshd has AllowStreamLocalForwarding.`,
  );
}

function failed(end: SshEnd, why: string): SlipwayError {
  return new SlipwayError(
    'ERR_SSH_FAILED',
    `no SSH connection to ${place(end)}: ${why}`,
    'Check the sshd in the guest.',
  );
}

function place({ address, port }: SshEnd): string {
  return `${address === undefined ? 'the first guest' : formatIpv4Address(address)}:${port}`;
}
