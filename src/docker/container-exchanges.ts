import type { EngineClient } from './engine/engine-client.ts';
import type { EngineWatch } from './engine/engine-watch.ts';
import { type Decode, type Exchange, errorAnswer, type Whole, withBody } from './http/exchange.ts';
import type { RequestHead, ResponseHead } from './http/head.ts';
import type { Binding } from './ports/binding.ts';
import { isEngineAddress } from './ports/binding.ts';
import { type BindingWish, readCreateRequest } from './ports/create-request.ts';
import type { InspectedContainer } from './ports/inspected.ts';
import { type PortKeeper, PortRefusal } from './ports/port-keeper.ts';
import { withAskedPorts } from './ports/shown-ports.ts';

/** Chooses ports that are free at the host. */
export interface FreePorts {
  /** One that is free for both families where the address is ''. Rejects with an Error for a person. */
  choose(protocol: 'tcp' | 'udp', hostIp: string, first: number, last: number): Promise<number>;
}

export interface ContainerExchangesOptions {
  readonly client: EngineClient;
  readonly watch: EngineWatch;
  readonly keeper: PortKeeper;
  readonly free: FreePorts;
}

type BeforeResult = Awaited<ReturnType<Exchange['before']>>;

const CREATE = /^(?:\/v\d+\.\d+)?\/containers\/create(?:\?|$)/;
const START = /^(?:\/v\d+\.\d+)?\/containers\/([^/?]+)\/(?:start|restart)(?:\?|$)/;
const CHANGE = /^(?:\/v\d+\.\d+)?\/containers\/([^/?]+)(?:\/(?:stop|kill|pause|unpause|rename))?(?:\?|$)/;
const SHOW = /^(?:\/v\d+\.\d+)?\/containers\/(?:[^/?]+\/)?json(?:\?|$)/;

/**
 * The requests about containers that concern ports. What they say is never believed: it is a reason to ask the engine,
 * and the client gets its answer when Slipway's ports are what the engine then says.
 */
export function containerExchanges(options: ContainerExchangesOptions): Decode {
  return ({ method, target }) => {
    if (method === 'POST' && CREATE.test(target)) return new CreateExchange(options);
    if (method === 'GET' && SHOW.test(target)) return new ShowExchange();
    if (method !== 'POST' && method !== 'DELETE') return undefined;
    const started = method === 'POST' ? START.exec(target) : null;
    const changed = started ?? CHANGE.exec(target);
    const name = unescaped(changed?.[1]);
    if (name === undefined || name === 'prune') return undefined;
    return started === null ? new ChangeExchange(options, name) : new StartExchange(options, name);
  };
}

/** What the escapes in a part of a path stand for; undefined where one is none, which the engine refuses. */
function unescaped(part: string | undefined): string | undefined {
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/**
 * Ports that the host has to choose, and addresses that only the host has, are settled before the engine hears of them.
 */
class CreateExchange implements Exchange {
  readonly reads = 'body';
  readonly #options: ContainerExchangesOptions;

  constructor(options: ContainerExchangesOptions) {
    this.#options = options;
  }

  async before({ head, body, bytes }: Whole<RequestHead>): Promise<BeforeResult> {
    const request = readCreateRequest(body);
    if (request === undefined) return { pass: bytes };
    try {
      const bindings: Binding[] = [];
      for (const wish of request.wishes) bindings.push(await this.#settle(wish));
      const changed = request.withBindings(bindings);
      return { pass: changed.equals(body) ? bytes : withBody(head, changed) };
    } catch (error) {
      return { answer: errorAnswer(500, (error as Error).message) };
    }
  }

  async after({ bytes }: Whole<ResponseHead>): Promise<Buffer> {
    return bytes;
  }

  async failed(): Promise<void> {}

  async #settle({ protocol, containerPort, hostIp, hostPort: wish }: BindingWish): Promise<Binding> {
    const { free } = this.#options;
    const hostPort = wish.kind === 'fixed' ? wish.port : await free.choose(protocol, hostIp, wish.first, wish.last);
    const enginePort = isEngineAddress(hostIp) ? hostPort : await free.choose(protocol, '', 0, 0);
    return { protocol, containerPort, hostIp, hostPort, enginePort };
  }
}

/** The host's ports are bound before the engine starts anything, and released where it refuses. */
class StartExchange implements Exchange {
  readonly reads = 'head';
  readonly #options: ContainerExchangesOptions;
  readonly #name: string;
  #others: readonly string[] = [];

  constructor(options: ContainerExchangesOptions, name: string) {
    this.#options = options;
    this.#name = name;
  }

  async before({ bytes }: Whole<RequestHead>): Promise<BeforeResult> {
    const { keeper, watch } = this.#options;
    const container = await watch.inspect(this.#name).catch(() => undefined);
    // The engine has its own words for a container that it does not have, and changes nothing in one that runs.
    if (container === undefined || container.running) return { pass: bytes };
    try {
      this.#others = await keeper.claim(container);
      if (this.#others.length > 0) {
        await this.#lookAtOthers();
        this.#others = await keeper.claim(container);
      }
      return { pass: bytes };
    } catch (error) {
      if (!(error instanceof PortRefusal)) throw error;
      await this.#giveUp(container);
      return { answer: errorAnswer(500, error.message) };
    }
  }

  async after({ bytes }: Whole<ResponseHead>): Promise<Buffer> {
    await this.#lookAtOthers();
    await look(this.#options, this.#name);
    return bytes;
  }

  async failed(): Promise<void> {
    await look(this.#options, this.#name);
  }

  async #lookAtOthers(): Promise<void> {
    await Promise.all(this.#others.map((id) => this.#options.watch.look(id)));
  }

  /** The engine removes a `--rm` container that it cannot start. It has not heard of this start, so it is told to. */
  async #giveUp({ id, autoRemove }: InspectedContainer): Promise<void> {
    if (autoRemove) await this.#options.client.remove(`/containers/${id}?v=1&force=1`).catch(() => {});
  }
}

/** Whoever asks the engine to end a container may use its ports when it has answered. */
class ChangeExchange implements Exchange {
  readonly reads = 'head';
  readonly #options: ContainerExchangesOptions;
  readonly #name: string;
  #id: string | undefined;

  constructor(options: ContainerExchangesOptions, name: string) {
    this.#options = options;
    this.#name = name;
  }

  async before({ bytes }: Whole<RequestHead>): Promise<BeforeResult> {
    // By its id, because a container that is gone has no name any more.
    this.#id = (await this.#options.watch.inspect(this.#name).catch(() => undefined))?.id;
    return { pass: bytes };
  }

  async after({ bytes }: Whole<ResponseHead>): Promise<Buffer> {
    await this.failed();
    return bytes;
  }

  async failed(): Promise<void> {
    if (this.#id !== undefined) await this.#options.watch.look(this.#id);
  }
}

/** Ports are shown as they were asked for. */
class ShowExchange implements Exchange {
  readonly reads = 'head';
  async before({ bytes }: Whole<RequestHead>): Promise<BeforeResult> {
    return { pass: bytes };
  }

  async after({ head, body, bytes }: Whole<ResponseHead>): Promise<Buffer> {
    const shown = head.status === 200 ? withAskedPorts(body) : body;
    return shown === body ? bytes : withBody(head, shown);
  }

  async failed(): Promise<void> {}
}

async function look({ watch }: ContainerExchangesOptions, name: string): Promise<void> {
  const id = (await watch.inspect(name).catch(() => undefined))?.id;
  if (id !== undefined) await watch.look(id);
}
