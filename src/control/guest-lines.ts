import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { DescriptorKind } from '../host/epoll/descriptors.ts';
import type { WithThread } from './kept.ts';
import type { NetworkThreadHandle } from './network-thread-handle.ts';

/**
 * Streams of this process into the network: one end of a pair of sockets each, whose other end the network thread is
 * given.
 */
export class GuestLines {
  readonly #withThread: WithThread;

  constructor(withThread: WithThread) {
    this.#withThread = withThread;
  }

  /**
   * A connection to a guest's port; address 0 is the first guest. Rejects with ERR_GUEST_REFUSED, ERR_GUEST_UNREACHABLE
   * or ERR_GUEST_TIMEOUT.
   */
  dial(address: number, port: number): Promise<Socket> {
    return this.#pair('flow', (thread, fd) => thread.ask('openGuestStream', { fd, address, port }));
  }

  /**
   * Attaches a guest whose frames come and go by the socket that this resolves with, each behind its length (u32
   * big-endian). It ends with the network thread; the guest may then be attached again.
   */
  attach(name: string): Promise<Socket> {
    return this.#pair('guest', (thread, fd) => thread.ask('attachStream', { fd, name }));
  }

  /**
   * Attaches the guest at the other end of a connected stream socket, which is the network's from here on. Frames are
   * as with `attach`.
   */
  attachSocket(fd: number, name: string): Promise<void> {
    return this.#withThread((thread) => {
      thread.handOver(fd, 'guest');
      return thread.ask('attachStream', { fd, name });
    });
  }

  /** Resolves with our end once `ask` was answered. */
  async #pair(
    kind: DescriptorKind,
    ask: (thread: NetworkThreadHandle, theirs: number) => Promise<void>,
  ): Promise<Socket> {
    const { streamPair } = await import('../host/stream-pair.ts');
    return this.#withThread(async (thread) => {
      const [ours, theirs] = streamPair();
      try {
        thread.handOver(theirs, kind);
        await ask(thread, theirs);
      } catch (error) {
        closeSync(ours);
        throw error;
      }
      return new Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: true });
    });
  }
}
