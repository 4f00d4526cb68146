import type { Config } from '../config/config.ts';
import { type ForwardSpec, forwardId } from '../config/forward.ts';
import type { AttachmentUrl } from '../config/listen-url.ts';
import type { ControlLog } from '../control/network-control.ts';
import type { RunningNetwork } from '../control/start-network.ts';

export interface ReloadOptions {
  /** As it was when the daemon started. */
  readonly config: Config;
  /** As file and flags say now. Rejects with SlipwayError. */
  readonly read: () => Promise<Config>;
  readonly network: Pick<RunningNetwork, 'forwards' | 'dns'>;
  readonly attach: (url: AttachmentUrl) => Promise<void>;
  readonly log: ControlLog;
}

/** What the two lists do not have in common. */
interface Difference<T> {
  readonly gone: readonly T[];
  readonly come: readonly T[];
}

/**
 * Makes of the running network what the configuration says now, as far as a running network can be changed: forwards, services,
 * zones, and further places for guests to attach. What else differs is named in a warning and waits for the next start, and so does
 * all of a configuration that is not valid. What came by the control API stays.
 */
export class Reload {
  readonly #options: ReloadOptions;
  #current: Config;
  /** One at a time, in the order of the signals. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#current = options.config;
  }

  /** Never rejects. */
  again(): Promise<void> {
    this.#work = this.#work.then(() => this.#reload());
    return this.#work;
  }

  async #reload(): Promise<void> {
    const { log, read } = this.#options;
    try {
      const next = await read();
      const changes = [
        ...(await this.#forwards(next)),
        ...(await this.#services(next)),
        ...(await this.#zones(next)),
        ...(await this.#attachments(next)),
      ];
      const fixed = waiting(this.#current, next);
      this.#current = next;
      log.info(`the configuration was read again: ${changes.join(', ') || 'nothing to change'}`);
      if (fixed.length > 0) log.warn(`${fixed.join(', ')}: changed, and in force only after a restart`);
    } catch (error) {
      log.error(`the configuration stays as it was: ${(error as Error).message}`);
    }
  }

  async #forwards(next: Config): Promise<string[]> {
    const { forwards } = this.#options.network;
    const { gone, come } = difference(this.#current.forwards, next.forwards);
    const changes: string[] = [];
    for (const spec of gone.filter((one) => !isToChoose(one))) {
      const id = forwardId(spec);
      // Somebody asked for it beside the configuration.
      if (forwards.get(id)?.spec.persistent !== false) continue;
      if (await forwards.remove(id)) changes.push(`−${id}`);
    }
    for (const spec of come) {
      await this.#try(`the forward ${forwardId(spec)}`, async () => {
        const { id, why } = await forwards.keep(spec);
        changes.push(`+${id}${why === '' ? '' : ` (${why})`}`);
      });
    }
    return changes;
  }

  async #services(next: Config): Promise<string[]> {
    const { forwards } = this.#options.network;
    const { gone, come } = difference(this.#current.services, next.services);
    for (const service of gone) await forwards.removeService(service);
    for (const service of come) await this.#try('a service', () => forwards.addService(service));
    return gone.length + come.length === 0 ? [] : [`services +${come.length} −${gone.length}`];
  }

  async #zones(next: Config): Promise<string[]> {
    const { zones } = this.#options.network.dns;
    const { gone, come } = difference(this.#current.dns.zones, next.dns.zones);
    const kept = new Set(next.dns.zones.map(({ name }) => name));
    const removed = gone.filter(({ name }) => !kept.has(name));
    for (const { name } of removed) zones.removeZone(name);
    const changes = removed.map(({ name }) => `zone −${name}`);
    for (const zone of come) {
      await this.#try(`the zone ${zone.name}`, async () => {
        zones.setZone(zone);
        changes.push(`zone +${zone.name}`);
      });
    }
    return changes;
  }

  async #attachments(next: Config): Promise<string[]> {
    const { come } = difference(this.#current.listen, next.listen);
    const changes: string[] = [];
    for (const url of come) {
      await this.#try(url.text, async () => {
        await this.#options.attach(url);
        changes.push(`+${url.text}`);
      });
    }
    return changes;
  }

  /** One that fails does not keep the others from being made. */
  async #try(what: string, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#options.log.warn(`${what} is left out: ${(error as Error).message}`);
    }
  }
}

/** The keys whose change waits for a restart. */
function waiting(before: Config, next: Config): string[] {
  const { forwards, listen, services: _, dns, ...rest } = next;
  const keys = (Object.keys(rest) as (keyof typeof rest)[]).filter((key) => !isSame(before[key], rest[key]));
  const names: string[] = [...keys];
  if (!isSame({ ...before.dns, zones: [] }, { ...dns, zones: [] })) names.push('dns');
  if (difference(before.listen, listen).gone.length > 0) names.push('listen');
  // Which port such a forward has, nobody knows but the host.
  if (difference(before.forwards, forwards).gone.some(isToChoose)) names.push('forwards');
  return names;
}

function isToChoose({ host }: ForwardSpec): boolean {
  return host.kind === 'port' && (host.port === 0 || (host.lastPort ?? host.port) > host.port);
}

function difference<T>(before: readonly T[], next: readonly T[]): Difference<T> {
  return {
    gone: before.filter((one) => !next.some((other) => isSame(one, other))),
    come: next.filter((one) => !before.some((other) => isSame(one, other))),
  };
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
