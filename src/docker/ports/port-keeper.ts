import { type Binding, bindingKey, collide } from './binding.ts';
import type { InspectedContainer } from './inspected.ts';

/** The host's side of published ports. */
export interface HostPorts {
  /** Binds at the host, and carries clients to the container's port in its guest. Rejects with PortRefusal. */
  publish(binding: Binding): Promise<void>;
  /** The same for a container that runs already: what cannot be bound now is tried again until it can. */
  insist(binding: Binding): Promise<void>;
  withdraw(binding: Binding): Promise<void>;
}

/** Why a port cannot be bound, in words for a person. */
export class PortRefusal extends Error {
  readonly binding: Binding;

  constructor(binding: Binding, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PortRefusal';
    this.binding = binding;
  }
}

/**
 * Which container holds which port of the host. It is told what is true by `settle`, from the engine's own description
 * of a container; `claim` goes ahead of the engine, for a container that is about to start.
 *
 * What concerns one container happens in its order; containers do not wait for each other. Bounded by the engine, which
 * has the containers.
 */
export class PortKeeper {
  readonly #ports: HostPorts;
  readonly #held = new Map<string, Map<string, Binding>>();
  /** Who holds a port: containers stay apart, whatever they ask for. */
  readonly #holders = new Map<string, string>();
  /** Those that run, and whose port another container still has: it ends, as the engine does not give a port to two. */
  readonly #waiting = new Map<string, InspectedContainer>();
  readonly #work = new Map<string, Promise<unknown>>();

  constructor(ports: HostPorts) {
    this.#ports = ports;
  }

  /** Containers that hold ports. */
  get containers(): readonly string[] {
    return [...this.#held.keys()];
  }

  /**
   * Binds what the container asks for, before it starts. Resolves to the containers that have one of the ports already:
   * whether they still need it is the engine's to say, and nothing is bound then. Rejects with PortRefusal, and nothing
   * is bound, where the host has given one away.
   */
  claim(container: InspectedContainer): Promise<readonly string[]> {
    return this.#inOrder(container.id, async () => {
      const wanted = container.wanted.filter((binding) => this.#holders.get(bindingKey(binding)) !== container.id);
      const others = this.#others(container.id, wanted);
      if (others.length > 0) return others;
      const outcomes = await Promise.allSettled(
        wanted.map((binding) => this.#take(container.id, binding, (one) => this.#ports.publish(one))),
      );
      const refused = outcomes.find((outcome) => outcome.status === 'rejected');
      if (refused === undefined) return [];
      await Promise.all(wanted.map((binding) => this.#give(container.id, binding)));
      throw refused.reason;
    });
  }

  /**
   * Makes the ports be what the engine says: those of a container that runs, and of one that is about to run again;
   * none of any other.
   */
  settle(container: InspectedContainer): Promise<void> {
    return this.#inOrder(container.id, async () => {
      const held = [...(this.#held.get(container.id)?.values() ?? [])];
      const published = container.running ? container.published : container.restarting ? held : [];
      const keys = new Set(published.map(bindingKey));
      await Promise.all(held.filter((one) => !keys.has(bindingKey(one))).map((one) => this.#give(container.id, one)));
      this.#waiting.delete(container.id);
      await Promise.all(
        published.map(async (binding) => {
          const holder = this.#holders.get(bindingKey(binding));
          if (holder === container.id) return;
          if (holder !== undefined) this.#waiting.set(container.id, container);
          else await this.#take(container.id, binding, (one) => this.#ports.insist(one));
        }),
      );
    });
  }

  /** The engine does not know the container any more. */
  forget(id: string): Promise<void> {
    this.#waiting.delete(id);
    return this.#inOrder(id, async () => {
      const held = [...(this.#held.get(id)?.values() ?? [])];
      await Promise.all(held.map((binding) => this.#give(id, binding)));
    });
  }

  /** The other containers that have one of these ports. */
  #others(id: string, wanted: readonly Binding[]): string[] {
    return [...this.#held].flatMap(([other, held]) => {
      const isInTheWay = (binding: Binding): boolean => [...held.values()].some((theirs) => collide(theirs, binding));
      return other !== id && wanted.some(isInTheWay) ? [other] : [];
    });
  }

  async #take(id: string, binding: Binding, bind: (binding: Binding) => Promise<void>): Promise<void> {
    const key = bindingKey(binding);
    this.#holders.set(key, id);
    try {
      await bind(binding);
    } catch (error) {
      if (this.#holders.get(key) === id) this.#holders.delete(key);
      throw error;
    }
    const held = this.#held.get(id) ?? new Map<string, Binding>();
    held.set(key, binding);
    this.#held.set(id, held);
  }

  async #give(id: string, binding: Binding): Promise<void> {
    const held = this.#held.get(id);
    const key = bindingKey(binding);
    if (held === undefined || !held.delete(key)) return;
    if (held.size === 0) this.#held.delete(id);
    await this.#ports.withdraw(binding);
    this.#holders.delete(key);
    for (const container of [...this.#waiting.values()]) void this.settle(container);
  }

  #inOrder<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#work.get(id) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#work.set(id, mine);
    const forget = (): void => {
      if (this.#work.get(id) === mine) this.#work.delete(id);
    };
    mine.then(forget, forget);
    return mine;
  }
}
