import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { gvproxyExtension } from '../../src/api/gvproxy/gvproxy-routes.ts';
import type { ControlExtension } from '../../src/api/server/control-server.ts';
import { vpnkitExtension } from '../../src/api/vpnkit/vpnkit-routes.ts';
import { GuestApi } from '../../src/api/gvproxy/guest-api.ts';
import { portForwarder } from '../../src/api/gvproxy/port-forwarder.ts';
import { type Config, type ConfigInput, resolveConfig } from '../../src/config/config.ts';
import type { ForwardOwner } from '../../src/config/forward.ts';
import type { NetworkStatus } from '../../src/control/network-status.ts';
import { Counters } from '../../src/env/counters.ts';
import { writeProxyV2 } from '../../src/host/proxy-v2.ts';
import { GATEWAY_MAC } from '../../src/network/network-options.ts';
import { builtinZones } from '../../src/services/dns/zones/builtin-zones.ts';
import { ZoneStore } from '../../src/services/dns/zones/zone-store.ts';
import type { Forwards } from '../../src/services/forward/forwards.ts';
import { at, TableWorld } from '../services/forward/table-world.ts';
import { type Answer, ControlWorld, NETWORK } from './control-world.ts';

export const GUEST: number = at('192.168.65.3');
export const OTHER_GUEST: number = at('192.168.65.4');

export interface CompatOptions {
  /** A table of the test's own; otherwise that of `world`. */
  readonly forwards?: Forwards;
  readonly config?: ConfigInput;
  readonly dial?: (address: number, port: number) => Promise<Socket>;
  readonly attach?: () => Promise<Socket>;
}

/** The APIs of gvproxy and vpnkit on a control socket, and the guest's beside it, over the real table of forwards. */
export class CompatWorld {
  readonly world: TableWorld = new TableWorld();
  readonly forwards: Forwards;
  readonly config: Config;
  readonly zones: ZoneStore;
  readonly counters: Counters = new Counters();
  readonly guestSocket: string;
  status: NetworkStatus = NETWORK;
  control!: ControlWorld;

  static async open(t: TestContext, options: CompatOptions = {}): Promise<CompatWorld> {
    let world: CompatWorld | undefined;
    const control = await ControlWorld.open(t, { extensions: async () => world!.extensions(options) });
    world = new CompatWorld(control, options);
    await world.#openGuestApi(t);
    return world;
  }

  private constructor(control: ControlWorld, options: CompatOptions) {
    this.control = control;
    this.forwards = options.forwards ?? this.world.table;
    this.config = resolveConfig(options.config ?? {});
    const { subnet, gateway, hostAddress } = this.config.network;
    const builtIn = builtinZones({ subnet, gateway, hostAddress, hostNames: [], gatewayNames: [] });
    this.zones = new ZoneStore({ defaultTtlSeconds: 10, builtIn });
    this.guestSocket = path.join(control.folder, 'guest.sock');
  }

  extensions({ dial, attach }: CompatOptions): ControlExtension[] {
    const { forwards, config, zones } = this;
    const refuse = (): Promise<Socket> => Promise.reject(new Error('no guest'));
    const control = { guests: { dial: dial ?? refuse, attach: attach ?? refuse } };
    const network = { forwards, config, control, dns: { zones }, status: () => Promise.resolve(this.status) };
    return [gvproxyExtension(network, GATEWAY_MAC), vpnkitExtension(forwards)];
  }

  async #openGuestApi(t: TestContext): Promise<void> {
    const api = new GuestApi(() => Promise.resolve(portForwarder(this.forwards)), this.counters);
    await new Promise<void>((resolve) => api.server.listen(this.guestSocket, resolve));
    t.after(() => api.close());
  }

  /** Asks gvproxy's API; `body` is sent as it is, or as JSON. */
  ask(method: string, target: string, body?: unknown): Promise<Answer> {
    return this.control.ask(method, target, asBody(body));
  }

  post(target: string, body: unknown): Promise<Answer> {
    return this.ask('POST', target, body);
  }

  /** 'status text', as clients compare it. */
  async said(method: string, target: string, body?: unknown): Promise<string> {
    return shown(await this.ask(method, target, body));
  }

  expose(body: unknown): Promise<string> {
    return this.said('POST', '/services/forwarder/expose', body);
  }

  unexpose(body: unknown): Promise<string> {
    return this.said('POST', '/services/forwarder/unexpose', body);
  }

  async all(): Promise<unknown> {
    const { status, text } = await this.ask('GET', '/services/forwarder/all');
    assert.equal(status, 200);
    return JSON.parse(text);
  }

  /** A guest's connection to the gateway's port 80; guests with different addresses are attached apart unless told. */
  dialAsGuest(guest: number, attachment = `vm${guest & 0xff}`): Socket {
    const socket = connect(this.guestSocket);
    const [originalAddress, originalPort] = [at('192.168.65.1'), 80];
    socket.write(writeProxyV2({ guestAddress: guest, guestPort: 40_000, originalAddress, originalPort, attachment }));
    return socket;
  }

  async asGuest(guest: number, method: string, target: string, body?: unknown, attachment?: string): Promise<string> {
    const { body: bytes = '' } = asBody(body);
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          method,
          path: target,
          headers: { 'content-length': Buffer.byteLength(bytes) },
          createConnection: () => this.dialAsGuest(guest, attachment),
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => resolve(shown({ status: response.statusCode ?? 0, text })));
        },
      );
      asked.on('error', reject);
      asked.end(bytes);
    });
  }

  owned(owner: ForwardOwner): readonly string[] {
    return this.forwards.ownedBy(owner).map(({ id }) => id);
  }
}

function asBody(body: unknown): { readonly body?: string } {
  if (body === undefined) return {};
  return { body: typeof body === 'string' ? body : JSON.stringify(body) };
}

function shown({ status, text }: Pick<Answer, 'status' | 'text'>): string {
  return `${status} ${text}`;
}
