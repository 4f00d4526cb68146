/** Guests have their names below it, and it is the first guest's own. */
export const GUEST_ZONE = 'vm.docker.internal';
/** Slipway's DNS servers call themselves so. */
export const SERVER_NAME = 'gateway.docker.internal';

/** Domains of Docker, Podman and Lima that Slipway answers whole. */
export const OWN_DOMAINS: readonly [string, string, string] = [
  'docker.internal',
  'containers.internal',
  'lima.internal',
];
/** Names that mean the host, as Docker, Podman and Lima have them. */
export const DEFAULT_HOST_NAMES: readonly [string, ...string[]] = [
  'host.docker.internal',
  'host.containers.internal',
  'host.lima.internal',
];
export const DEFAULT_GATEWAY_NAMES: readonly string[] = [SERVER_NAME];
/** How Docker Desktop's older names begin: docker.for.mac.localhost, docker.for.win.host.internal. */
export const OLD_DOCKER_BEGINNINGS: readonly string[] = ['docker.for.mac', 'docker.for.win'];

/** A name that Slipway's DNS server answers by itself. */
export interface BuiltInName {
  /** The zone that it is in, which takes all names below it from the host's resolver. */
  readonly zone: string;
  /** Below the zone; '@' is the zone itself. */
  readonly name: string;
  readonly means: 'host' | 'gateway' | 'loopback';
}

const built = (zone: string, name: string, means: BuiltInName['means']): BuiltInName => ({ zone, name, means });

const [DOCKER, PODMAN, LIMA] = OWN_DOMAINS;

/**
 * The built-in names, as Docker, Podman and Lima have them. The first name of an address is the one that PTR tells.
 * Docker's older ones end with "internal" and "localhost", which are not ours: each is a zone of its own.
 */
export const BUILT_IN_NAMES: readonly BuiltInName[] = [
  built(DOCKER, 'host', 'host'),
  built(DOCKER, 'gateway', 'gateway'),
  built(DOCKER, 'http', 'gateway'),
  built(DOCKER, 'kubernetes', 'loopback'),
  built(PODMAN, 'host', 'host'),
  built(PODMAN, 'gateway', 'gateway'),
  built(LIMA, 'host', 'host'),
  ...OLD_DOCKER_BEGINNINGS.flatMap((beginning) => [
    built(`${beginning}.localhost`, '@', 'host'),
    built(`${beginning}.host.internal`, '@', 'host'),
    built(`${beginning}.gateway.internal`, '@', 'gateway'),
    built(`${beginning}.http.internal`, '@', 'gateway'),
  ]),
];

const OWN_NAMES: ReadonlySet<string> = new Set(
  BUILT_IN_NAMES.map(({ zone, name }) => (name === '@' ? zone : `${name}.${zone}`)),
);

/** Further names of the host and the gateway (`dns.hostNames`, `dns.gatewayNames`). */
export interface ConfiguredNames {
  readonly hostNames: readonly string[];
  readonly gatewayNames: readonly string[];
}

/** Whether the name (lower case, without a last dot) means the host, the gateway or a guest already. */
export function isOwnName(name: string, configured?: ConfiguredNames): boolean {
  if (OWN_NAMES.has(name) || name === GUEST_ZONE || name.endsWith(`.${GUEST_ZONE}`)) return true;
  return configured !== undefined && (configured.hostNames.includes(name) || configured.gatewayNames.includes(name));
}
