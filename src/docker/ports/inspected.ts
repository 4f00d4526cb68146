import { z } from 'zod';
import { ASKED_LABEL, askedBindings, parseAskedLabel } from './asked-label.ts';
import { type Binding, parseHostPort, parsePortKey } from './binding.ts';

/** What is read of the engine's description of a container. The engine may leave out or null any of it. */
const Bindings = z.record(
  z.string(),
  z.array(z.object({ HostIp: z.string().default(''), HostPort: z.string().default('') })).nullable(),
);
type BindingMap = z.infer<typeof Bindings>;

const Inspect = z.object({
  Id: z.string(),
  Name: z.string().default(''),
  State: z.object({ Running: z.boolean().default(false), Restarting: z.boolean().default(false) }).nullish(),
  Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
  HostConfig: z
    .object({
      NetworkMode: z.string().default(''),
      AutoRemove: z.boolean().default(false),
      PortBindings: Bindings.nullish(),
    })
    .nullish(),
  NetworkSettings: z.object({ Ports: Bindings.nullish() }).nullish(),
});

export interface InspectedContainer {
  readonly id: string;
  /** Without the slash. */
  readonly name: string;
  readonly running: boolean;
  /** It has ended, and the engine is going to start it again. */
  readonly restarting: boolean;
  /** The engine removes it when it ends. */
  readonly autoRemove: boolean;
  /** What it is to publish when it starts, so far as the port is known before. */
  readonly wanted: readonly Binding[];
  /** What the engine publishes now. */
  readonly published: readonly Binding[];
}

/** Reads `GET /containers/ID/json`; undefined where it is not the description of a container. */
export function parseInspected(body: unknown): InspectedContainer | undefined {
  const parsed = Inspect.safeParse(body);
  if (!parsed.success) return undefined;
  const { Id: id, Name: name, State: state, HostConfig: host, NetworkSettings: network, Config: config } = parsed.data;
  const restarting = state?.Restarting ?? false;
  const ports = network?.Ports ?? {};
  const asked = parseAskedLabel(config?.Labels?.[ASKED_LABEL]);
  const hasNetwork = !/^(host|none|container:.*)$/.test(host?.NetworkMode ?? '');
  const wanted = asked === undefined ? fixedBindings(host?.PortBindings ?? {}) : askedBindings(asked);
  return {
    id,
    name: name.replace(/^\//, ''),
    running: (state?.Running ?? false) && !restarting,
    restarting,
    autoRemove: host?.AutoRemove ?? false,
    wanted: hasNetwork ? wanted : [],
    published:
      asked === undefined
        ? shownBindings(ports, host?.PortBindings ?? {})
        : wanted.filter(({ protocol, containerPort }) => ports[`${containerPort}/${protocol}`]?.length),
  };
}

function fixedBindings(asked: BindingMap): Binding[] {
  return Object.entries(asked).flatMap(([key, list]) => {
    const port = parsePortKey(key);
    return (list ?? []).flatMap(({ HostIp: hostIp, HostPort }) => {
      const wish = parseHostPort(HostPort);
      if (port === undefined || wish?.kind !== 'fixed') return [];
      return [{ ...port, hostIp, hostPort: wish.port, enginePort: wish.port }];
    });
  });
}

/**
 * What the engine shows. A binding at every address is shown as one at 0.0.0.0 and, where the guest has IPv6, another
 * at ::; what was asked for tells it from bindings at just those addresses.
 */
function shownBindings(ports: BindingMap, asked: BindingMap): Binding[] {
  return Object.entries(ports).flatMap(([key, list]) => {
    const port = parsePortKey(key);
    if (port === undefined) return [];
    const wishes = asked[key] ?? [];
    const found = new Map<string, Binding>();
    for (const { HostIp, HostPort } of list ?? []) {
      const hostPort = Number(HostPort);
      if (!(hostPort >= 1 && hostPort <= 65_535)) continue;
      const isEverywhere = wishes.length === 0 || wishes.some((wish) => wish.HostIp === '' && fits(wish, hostPort));
      const hostIp = isEverywhere && (HostIp === '0.0.0.0' || HostIp === '::') ? '' : HostIp;
      found.set(`${hostIp} ${hostPort}`, { ...port, hostIp, hostPort, enginePort: hostPort });
    }
    return [...found.values()];
  });
}

function fits({ HostPort }: { readonly HostPort: string }, port: number): boolean {
  const wish = parseHostPort(HostPort);
  return wish?.kind === 'fixed' ? wish.port === port : wish !== undefined;
}
