import type { DockerBind } from '../../config/docker.ts';
import type { ForwardSpec } from '../../config/forward.ts';
import { forwardId } from '../../config/forward.ts';
import { SlipwayError } from '../../facts/errors.ts';
import type { Forwards } from '../../services/forward/forwards.ts';
import { bindAddress } from './bind-address.ts';
import type { Binding } from './binding.ts';
import { type HostPorts, PortRefusal } from './port-keeper.ts';

export interface ForwardedPortsOptions {
  /** Address of the engine's guest; undefined for the only one. */
  readonly guest: number | undefined;
  readonly bind: DockerBind;
}

/** Ports that are published through the network, to the engine's guest. */
export class ForwardedPorts implements HostPorts {
  readonly #forwards: Forwards;
  readonly #options: ForwardedPortsOptions;

  constructor(forwards: Forwards, options: ForwardedPortsOptions) {
    this.#forwards = forwards;
    this.#options = options;
  }

  async publish(binding: Binding): Promise<void> {
    try {
      await this.#forwards.open(this.#spec(binding));
    } catch (error) {
      if (error instanceof SlipwayError) throw refusal(binding, error);
      throw error;
    }
  }

  async insist(binding: Binding): Promise<void> {
    let failure: Error | undefined;
    await this.#forwards.exchange({
      owner: 'docker',
      gone: [],
      come: [this.#spec(binding)],
      changed() {},
      failed: (_, error) => {
        failure = error;
      },
    });
    if (failure !== undefined) throw failure;
  }

  async withdraw(binding: Binding): Promise<void> {
    await this.#forwards.close(forwardId(this.#spec(binding)), { connections: true });
  }

  #spec({ protocol, hostIp, hostPort, enginePort }: Binding): ForwardSpec {
    const { guest, bind } = this.#options;
    return {
      protocol,
      host: { kind: 'port', address: bindAddress(hostIp, bind), port: hostPort },
      guest: { kind: 'port', address: guest, port: enginePort },
      count: 1,
      ipv4Only: false,
      source: 'client',
      proxy: 'none',
      waitSeconds: 0,
      persistent: false,
      owner: 'docker',
    };
  }
}

/** What Docker Desktop says, word for word, because tools search for it; then who holds the port and what to do. */
function refusal(binding: Binding, error: SlipwayError): PortRefusal {
  const { protocol, hostIp, hostPort } = binding;
  const place = hostIp.includes(':') ? `[${hostIp}]` : hostIp === '' ? '0.0.0.0' : hostIp;
  const exposing = `exposing port ${protocol.toUpperCase()} ${place}:${hostPort} -> 127.0.0.1:0`;
  const listen = error.message.replace(/^listen (tcp|udp) (\[?)/, (_, name, bracket) => {
    return `listen ${name}${bracket === '' ? 4 : 6} ${bracket}`;
  });
  return new PortRefusal(binding, [`Ports are not available: ${exposing}: ${listen}`, error.hint].join('. '));
}
