import type { ForwardStatus } from '../../config/forward.ts';
import type { LeaseChange } from '../../dhcp/lease-record.ts';
import type { LogFields } from '../../env/log.ts';

export type LogLevelWord = 'info' | 'warn' | 'error';

/** What happened, for whoever listens. */
export type ControlEvent =
  | { readonly type: 'forward'; readonly removed: boolean; readonly status: ForwardStatus }
  | { readonly type: 'guest'; readonly change: 'attached' | 'detached'; readonly name: string; readonly why: string }
  | { readonly type: 'lease'; readonly change: LeaseChange }
  /** The network thread died, and another takes over. */
  | { readonly type: 'network'; readonly change: 'died'; readonly why: string }
  | { readonly type: 'log'; readonly level: LogLevelWord; readonly message: string; readonly fields: LogFields };

export type EventType = ControlEvent['type'];
export const EVENT_TYPES: readonly EventType[] = ['forward', 'guest', 'lease', 'network', 'log'];

interface FeedLog {
  readonly debug?: ((message: string, fields?: LogFields) => void) | undefined;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Passes on what happens to those who listen at that moment; nothing is kept. */
export class EventFeed {
  readonly #listeners = new Set<(event: ControlEvent) => void>();

  /** Returns a function that ends it. */
  subscribe(listener: (event: ControlEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(event: ControlEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /**
   * A log that writes to `log` and makes events of its lines: only from these the feed knows of guests and of
   * recoveries.
   */
  listeningTo(log: FeedLog): FeedLog {
    const line =
      (level: LogLevelWord) =>
      (message: string, fields?: LogFields): void => {
        log[level](message, fields);
        if (this.#listeners.size === 0) return;
        const known = knownLine(message, fields ?? {});
        if (known !== undefined) this.tell(known);
        this.tell({ type: 'log', level, message, fields: fields ?? {} });
      };
    return {
      // What is for debugging is no event, and may be switched on and off.
      get debug() {
        return log.debug;
      },
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    };
  }
}

function knownLine(message: string, { guest = '', reason = '' }: LogFields): ControlEvent | undefined {
  const name = String(guest);
  if (message === 'guest attached') return { type: 'guest', change: 'attached', name, why: '' };
  if (message === 'guest detached') return { type: 'guest', change: 'detached', name, why: String(reason) };
  return message.startsWith('network thread died') ? { type: 'network', change: 'died', why: message } : undefined;
}
