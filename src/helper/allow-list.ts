/** The users that the helper serves. */
import type { PeerCredentials } from '../host/ports/socket-calls.ts';

export interface AllowList {
  readonly uids: ReadonlySet<number>;
  /** Any of a caller's groups counts, not the primary one alone. */
  readonly gids: ReadonlySet<number>;
}

export function isAllowed({ uids, gids }: AllowList, peer: PeerCredentials): boolean {
  return uids.has(peer.uid) || peer.gids.some((gid) => gids.has(gid));
}

/** A bucket of tokens for each user: a flood costs its sender his own tokens, and the journal one line. */
export class RequestRate {
  /** All privileged ports in both families at once, which is the largest range that there is. */
  static readonly BURST = 2048;
  static readonly PER_SECOND = 64;
  /** Users that are remembered. */
  static readonly USERS = 1024;
  readonly #buckets = new Map<number, { tokens: number; atMs: number; silent: boolean }>();

  /** 'go'; 'stop' for the first that is one too many; 'silent' for those after it until there is a token again. */
  take(uid: number, nowMs: number): 'go' | 'stop' | 'silent' {
    const bucket = this.#buckets.get(uid) ?? { tokens: RequestRate.BURST, atMs: nowMs, silent: false };
    // Back to the end: the user that was quiet the longest is forgotten first.
    this.#buckets.delete(uid);
    this.#buckets.set(uid, bucket);
    if (this.#buckets.size > RequestRate.USERS) this.#buckets.delete(this.#buckets.keys().next().value!);
    const earned = ((nowMs - bucket.atMs) / 1000) * RequestRate.PER_SECOND;
    bucket.tokens = Math.min(RequestRate.BURST, bucket.tokens + earned);
    bucket.atMs = nowMs;
    const silent = bucket.silent;
    bucket.silent = bucket.tokens < 1;
    if (bucket.silent) return silent ? 'silent' : 'stop';
    bucket.tokens -= 1;
    return 'go';
  }
}
