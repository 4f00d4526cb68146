import { z } from 'zod';
import type { EngineClient } from './engine-client.ts';

/** A port as the engine's list shows it. */
export interface ShownPort {
  readonly protocol: string;
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

export interface RunningContainer {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** 'running', 'paused', 'restarting'. */
  readonly state: string;
  /** Those that are published at the host. */
  readonly ports: readonly ShownPort[];
}

const Port = z.object({
  IP: z.string().default(''),
  PrivatePort: z.number(),
  PublicPort: z.number().default(0),
  Type: z.string().default('tcp'),
});
const Listed = z.array(
  z.object({
    Id: z.string(),
    Names: z.array(z.string()).nullish(),
    Image: z.string().default(''),
    State: z.string().default(''),
    Ports: z.array(Port).nullish(),
  }),
);

/** The containers that run. Rejects as `EngineClient.get` does, and with ZodError for what is no list of containers. */
export async function runningContainers(client: EngineClient): Promise<readonly RunningContainer[]> {
  return Listed.parse(await client.get('/containers/json')).map(({ Id, Names, Image, State, Ports }) => ({
    id: Id,
    name: (Names?.[0] ?? '').replace(/^\//, ''),
    image: Image,
    state: State,
    ports: (Ports ?? [])
      .filter(({ PublicPort }) => PublicPort > 0)
      .map(({ IP, PrivatePort, PublicPort, Type }) => {
        return { protocol: Type, hostIp: IP, hostPort: PublicPort, containerPort: PrivatePort };
      }),
  }));
}
