import { type ControlApi, openControlApi } from '../api/server/control-api.ts';
import type { EventFeed } from '../api/v1/event-feed.ts';
import type { ControlConfig } from '../config/control.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { FlowName } from '../control/flow-status.ts';
import type { ControlLog } from '../control/network-control.ts';
import type { RunningNetwork } from '../control/start-network.ts';
import { GATEWAY_MAC } from '../network/network-options.ts';
import { usualControlSocket } from './control-place.ts';
import { version } from './version.ts';

export interface ControlOptions {
  readonly config: ControlConfig;
  readonly log: ControlLog;
  readonly events: EventFeed;
  /** Where guests can attach now, as URLs. */
  readonly attachments: () => readonly string[];
  /** Wanted on the socket too. */
  readonly token?: string;
}

/**
 * Opens the control API of `network`; undefined where none is wanted. At the usual place a folder that cannot be made
 * is no reason not to start: it is said, and there is no API.
 */
export async function serveControl(network: RunningNetwork, options: ControlOptions): Promise<ControlApi | undefined> {
  const { config, log, events, attachments, token } = options;
  if (config.socket === '' && config.tcp === undefined) return undefined;
  const usual = config.socket === usualControlSocket();
  const facts = {
    version: version(),
    pid: process.pid,
    engine: network.engine,
    descriptors: network.descriptors,
    config: network.config,
    attachments,
  };
  const parts = {
    facts,
    status: () => network.status(),
    flows: {
      list: (limit: number) => network.control.ask('flows', { limit }),
      kill: (flow: FlowName) => network.control.ask('killFlow', flow),
    },
    forwards: network.forwards,
    zones: network.dns.zones,
    lookups: network.dns,
    events,
    counters: network.counters,
    log,
  };
  try {
    const api = await openControlApi({
      config,
      privateFolder: usual,
      tokenOnSocket: token,
      counters: network.counters,
      log,
      load: async (rules) => {
        const [{ controlApp }, { gvproxyExtension }, { vpnkitExtension }] = await Promise.all([
          import('../api/v1/control-app.ts'),
          import('../api/gvproxy/gvproxy-routes.ts'),
          import('../api/vpnkit/vpnkit-routes.ts'),
        ]);
        const others = [gvproxyExtension(network, GATEWAY_MAC), vpnkitExtension(network.forwards)];
        return controlApp(parts, rules, others);
      },
    });
    await network.control.requests.ask('addOwnPlaces', api.places);
    network.forwards.onChange((status, removed) => events.tell({ type: 'forward', removed, status }));
    network.watchLeases((change) => events.tell({ type: 'lease', change }));
    return api;
  } catch (error) {
    const tolerable =
      usual && config.tcp === undefined && error instanceof SlipwayError && error.code === 'ERR_RUNTIME_FOLDER';
    if (!tolerable) throw error;
    log.warn(`there is no control API: ${error.message}`, { hint: error.hint });
    return undefined;
  }
}
