import type { Config } from '../config/config.ts';
import type { DockerEngine } from '../config/docker.ts';
import { type ForwardSpec, forwardId, type ServiceForward } from '../config/forward.ts';
import type { AttachmentUrl } from '../config/listen.ts';
import type { LogLevel } from '../config/log.ts';
import type { ZoneDescription } from '../config/dns-zones.ts';
import type { DockerEngines } from '../control/docker-engines.ts';
import type { ControlLog } from '../control/network-control.ts';
import type { RunningNetwork } from '../control/start-network.ts';

export interface ReloadOptions {
  /** As it was when the daemon started. */
  readonly config: Config;
  /** As file and flags say now. Rejects with SlipwayError. */
  readonly read: () => Promise<Config>;
  readonly network: Pick<RunningNetwork, 'forwards' | 'dns'>;
  readonly docker: () => Promise<Pick<DockerEngines, 'add' | 'remove'>>;
  readonly attach: (url: AttachmentUrl) => Promise<void>;
  /** No new guest attaches there; attached guests stay. */
  readonly detach: (url: AttachmentUrl) => Promise<void>;
  readonly setLogLevel: (level: LogLevel) => void;
  readonly log: ControlLog;
}

/** What the two lists do not have in common. */
interface Difference<T> {
  readonly gone: readonly T[];
  readonly come: readonly T[];
}

/**
 * Makes of the running network what the configuration says now, as far as a running network can be changed: forwards,
 * services, zones, Docker engines, the places where guests attach, and the level of the log. What else differs is named
 * in a warning and waits for the next start, and so does all of a configuration that is not valid. What came by the
 * control API stays.
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
    let next: Config;
    try {
      next = await read();
    } catch (error) {
      log.error(`the configuration stays as it was: ${(error as Error).message.replaceAll(/\s*\n\s*/g, '; ')}`);
      return;
    }
    const before = this.#current;
    const fixed = waiting(before, next);
    const forwards = new Part(before.forwards, next.forwards);
    const services = new Part(before.services, next.services);
    const zones = new Part(before.dns.zones, next.dns.zones);
    const listen = new Part(before.listen, next.listen);
    const docker = new Part(before.docker, next.docker);
    const changes = [
      ...(await this.#forwards(forwards)),
      ...(await this.#services(services)),
      ...(await this.#zones(zones)),
      ...(await this.#attachments(listen)),
      ...this.#logLevel(before.log.level, next.log.level),
      ...(await this.#engines(docker)),
    ];
    // What failed is tried again by the next reload.
    this.#current = {
      ...next,
      forwards: forwards.standing,
      services: services.standing,
      docker: docker.standing,
      listen: listen.standing,
      dns: { ...next.dns, zones: zones.standing },
    };
    log.info(`the configuration was read again: ${changes.join(', ') || 'nothing to change'}`);
    if (fixed.length > 0) log.warn(`${fixed.join(', ')}: changed, but takes effect only after a restart`);
  }

  async #forwards(part: Part<ForwardSpec>): Promise<string[]> {
    const changes: string[] = [];
    await this.#options.network.forwards.exchange({
      owner: 'config',
      gone: part.gone.filter((one) => !isToChoose(one)),
      come: part.come,
      changed: (spec, status) => {
        if (status === 'removed') changes.push(`−${forwardId(spec)}`);
        else changes.push(`+${status.id}${status.why === '' ? '' : ` (${status.why})`}`);
      },
      failed: (spec, error) => {
        part.fail(spec);
        this.#options.log.warn(`the forward ${forwardId(spec)} is left out: ${error.message}`);
      },
    });
    return changes;
  }

  async #services(part: Part<ServiceForward>): Promise<string[]> {
    const { forwards } = this.#options.network;
    let [removed, added] = [0, 0];
    for (const service of part.gone) {
      await this.#try('a service', 'stays', part, service, async () => {
        await forwards.removeService(service);
        removed++;
      });
    }
    for (const service of part.come) {
      await this.#try('a service', 'is left out', part, service, async () => {
        await forwards.addService(service);
        added++;
      });
    }
    return added + removed === 0 ? [] : [`services +${added} −${removed}`];
  }

  async #zones(part: Part<ZoneDescription>): Promise<string[]> {
    const { zones } = this.#options.network.dns;
    const kept = new Set(part.next.map(({ name }) => name));
    const removed = part.gone.filter(({ name }) => !kept.has(name));
    for (const { name } of removed) zones.removeZone(name);
    const changes = removed.map(({ name }) => `zone −${name}`);
    for (const zone of part.come) {
      await this.#try(`the zone ${zone.name}`, 'is left out', part, zone, async () => {
        zones.setZone(zone);
        changes.push(`zone +${zone.name}`);
      });
    }
    return changes;
  }

  async #attachments(part: Part<AttachmentUrl>): Promise<string[]> {
    const changes: string[] = [];
    // First, because one may come back with another option.
    for (const url of part.gone) {
      await this.#try(url.text, 'stays', part, url, async () => {
        await this.#options.detach(url);
        changes.push(`−${url.text}`);
      });
    }
    for (const url of part.come) {
      await this.#try(url.text, 'is left out', part, url, async () => {
        await this.#options.attach(url);
        changes.push(`+${url.text}`);
      });
    }
    return changes;
  }

  #logLevel(before: LogLevel, next: LogLevel): string[] {
    if (before === next) return [];
    this.#options.setLogLevel(next);
    return [`log level ${next}`];
  }

  async #engines(part: Part<DockerEngine>): Promise<string[]> {
    const changes: string[] = [];
    for (const engine of part.gone) {
      await this.#try(`the engine ${engine.engine}`, 'stays', part, engine, async () => {
        await (await this.#options.docker()).remove(engine);
        changes.push(`engine −${engine.engine}`);
      });
    }
    for (const engine of part.come) {
      await this.#try(`the engine ${engine.engine}`, 'is left out', part, engine, async () => {
        await (await this.#options.docker()).add(engine);
        changes.push(`engine +${engine.engine}`);
      });
    }
    return changes;
  }

  /** One that fails does not keep the others from being changed. */
  async #try<T>(what: string, outcome: string, part: Part<T>, one: T, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      part.fail(one);
      this.#options.log.warn(`${what} ${outcome}: ${(error as Error).message}`);
    }
  }
}

/** One list of the configuration: the current and the new state. */
class Part<T> {
  readonly next: readonly T[];
  readonly gone: readonly T[];
  readonly come: readonly T[];
  readonly #failed = new Set<T>();

  constructor(before: readonly T[], next: readonly T[]) {
    this.next = next;
    ({ gone: this.gone, come: this.come } = difference(before, next));
  }

  /** It could not be made, or not be removed. */
  fail(one: T): void {
    this.#failed.add(one);
  }

  /** What the list says, but for what failed. */
  get standing(): readonly T[] {
    return [...this.next.filter((one) => !this.#failed.has(one)), ...this.gone.filter((one) => this.#failed.has(one))];
  }
}

/** The keys whose change waits for a restart. */
function waiting(before: Config, next: Config): string[] {
  const { forwards, listen: _listen, services: _services, docker: _docker, log: _log, dns, ...rest } = next;
  const keys = (Object.keys(rest) as (keyof typeof rest)[]).filter((key) => !isSame(before[key], rest[key]));
  const names: string[] = [...keys];
  if (!isSame({ ...before.dns, zones: [] }, { ...dns, zones: [] })) names.push('dns');
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
