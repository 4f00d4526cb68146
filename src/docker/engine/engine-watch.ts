import { z } from 'zod';
import { type InspectedContainer, parseInspected } from '../ports/inspected.ts';
import { type EngineClient, EngineError } from './engine-client.ts';

/** Who wants to know how the engine's containers stand. */
export interface EngineWatcher {
  /** How a container stands now. */
  container(inspected: InspectedContainer): Promise<void>;
  /** The engine does not know it any more. */
  gone(id: string): Promise<void>;
  /** Those that the watcher still believes in: after a gap, the ones that the engine does not list are gone. */
  known(): Iterable<string>;
  /** The engine answers, or it does not any more and why. */
  reachable(why: string | undefined): void;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;
/** How many descriptions are asked for at a time, when all are. */
const AT_A_TIME = 8;
const EVENTS = `/events?filters=${encodeURIComponent(JSON.stringify({ type: ['container', 'network'] }))}`;
/** Events of containers that change nothing here, and come often. */
const IDLE = /^(exec_|attach|resize|top|health_status|copy|export|archive-path|extract-to-dir)/;

const Event = z.object({
  Type: z.string(),
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).nullish() }),
});
const Listed = z.array(z.object({ Id: z.string() }));

/**
 * Follows the engine. An event says only that something may have changed: the container is asked for then, as events
 * can be overtaken by what follows them. After each gap, that of the start included, all containers are asked for.
 */
export class EngineWatch {
  readonly #client: EngineClient;
  readonly #watcher: EngineWatcher;
  readonly #stopped = new AbortController();
  /** Containers being asked for; `again` where an event came meanwhile. */
  readonly #asking = new Map<string, { again: boolean; readonly done: Promise<void> }>();

  constructor(client: EngineClient, watcher: EngineWatcher) {
    this.#client = client;
    this.#watcher = watcher;
  }

  /** Follows until `stop`. */
  async run(): Promise<void> {
    const { signal } = this.#stopped;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      let why = 'it closed the stream of its events';
      try {
        for await (const event of this.#client.events(EVENTS, () => void this.#resync(), signal)) {
          retryMs = FIRST_RETRY_MS;
          this.#hear(event);
        }
      } catch (error) {
        why = error instanceof Error ? error.message : String(error);
      }
      if (signal.aborted) return;
      this.#watcher.reachable(why);
      await pause(retryMs, signal);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Asks for a container now; resolves when the watcher knows. An answer that is on its way is not enough. */
  async look(id: string): Promise<void> {
    const asking = this.#asking.get(id);
    if (asking !== undefined) {
      asking.again = true;
      return asking.done;
    }
    const state = { again: false, done: Promise.resolve() };
    const done = this.#ask(id, state).finally(() => this.#asking.delete(id));
    this.#asking.set(id, Object.assign(state, { done }));
    return done;
  }

  /** The engine's description of a container, by id or name. Rejects with EngineError. */
  async inspect(name: string): Promise<InspectedContainer | undefined> {
    return parseInspected(await this.#client.get(`/containers/${encodeURIComponent(name)}/json`));
  }

  async #ask(id: string, state: { again: boolean }): Promise<void> {
    do {
      state.again = false;
      try {
        const inspected = await this.inspect(id);
        if (inspected !== undefined) await this.#watcher.container(inspected);
      } catch (error) {
        if (error instanceof EngineError && error.status === 404) await this.#watcher.gone(id);
        // An engine that does not answer is asked again after the gap.
      }
    } while (state.again);
  }

  #hear(event: unknown): void {
    const parsed = Event.safeParse(event);
    if (!parsed.success) return;
    const { Type: type, Action: action, Actor: actor } = parsed.data;
    const id = type === 'container' ? actor.ID : actor.Attributes?.container;
    if (id !== undefined && !IDLE.test(action)) void this.look(id);
  }

  async #resync(): Promise<void> {
    this.#watcher.reachable(undefined);
    try {
      const running = Listed.parse(await this.#client.get('/containers/json')).map(({ Id }) => Id);
      const ids = [...new Set([...running, ...this.#watcher.known()])];
      const next = ids.values();
      const ask = async (): Promise<void> => {
        for (const id of next) await this.look(id);
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, ask));
    } catch {
      // It ended in the middle: the events end, too, and all is asked again.
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const now = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', now, { once: true });
  });
}
