import { test } from 'node:test';
import { datagrams } from './datagrams.ts';
import { dialling } from './dialling.ts';
import type { CreateHarness, Harness, Peers } from './harness.ts';
import type { CaseNeed, HostCase } from './host-case.ts';
import { listening } from './listening.ts';
import { NodePeers } from './node-peers.ts';
import { pipes } from './pipes.ts';
import { reading } from './reading.ts';
import { resets } from './resets.ts';
import { Rig } from './rig.ts';
import { insideNamespace, namespaceAddresses, testInNamespace } from './routes-namespace.ts';
import { SERVICE_NAMES, services } from './services.ts';
import { serving } from './serving.ts';
import { SocketPaths } from './socket-paths.ts';
import { writing } from './writing.ts';

const CASES: readonly HostCase[] = [
  ...dialling,
  ...reading,
  ...writing,
  ...resets,
  ...datagrams,
  ...services,
  ...pipes,
  ...listening,
  ...serving,
];

const ELSEWHERE = 'its addresses exist only in a namespace of its own, where it runs once more';

/** How an engine's test file calls the suite. */
export interface DescribeHostOptions {
  /**
   * `import.meta.filename` of an engine with real sockets: run once more in a namespace that has unreachable addresses.
   */
  readonly file?: string;
}

/**
 * The behaviour of the host seam (src/env/host.ts): the same cases for every engine. A case that needs what the engine
 * says it lacks is skipped, and the skip names the capability; nothing else differs.
 */
export function describeHost(name: string, createHarness: CreateHarness, options: DescribeHostOptions = {}): void {
  for (const hostCase of CASES) {
    const needsRoutes =
      hostCase.needs?.some((need) => need === 'unreachable addresses' || need === 'a router') ?? false;
    // Inside the namespace only what needs it runs; the rest has run outside.
    if (insideNamespace() && !needsRoutes) continue;
    test(`${name}: ${hostCase.name}`, async (t) => {
      const paths = new SocketPaths();
      const serviceTable = new Map(SERVICE_NAMES.map((service) => [service, paths.path(service)]));
      const harness = await createHarness({ services: serviceTable });
      const peers = harness.peers ?? new NodePeers(serviceTable, namespaceAddresses());
      try {
        const lack = hostCase.needs?.map((need) => lackOf(need, harness, peers)).find((reason) => reason !== undefined);
        if (lack === undefined) await hostCase.run(new Rig(harness, peers, paths));
        else t.skip(lack);
      } finally {
        await peers.close();
        await harness.close();
        paths.remove();
      }
    });
  }
  if (options.file !== undefined && !insideNamespace()) testInNamespace(name, options.file);
}

/** Why the case is left out; undefined when it is not. */
function lackOf(need: CaseNeed, harness: Harness, peers: Peers): string | undefined {
  const { capabilities } = harness.host;
  switch (need) {
    case 'pipes':
      return harness.listenPipes === undefined ? 'this engine’s pipes are tested on their own' : undefined;
    case 'unreachable addresses':
      return peers.unreachable === undefined ? ELSEWHERE : undefined;
    case 'a router':
      return peers.unreachable?.behindRouter === undefined ? ELSEWHERE : undefined;
    default:
      return capabilities[need]
        ? undefined
        : `capability ${need} is false. ${need === 'ping' ? capabilities.pingHint : ''}`;
  }
}
