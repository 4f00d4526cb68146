import type { ZodType } from 'zod';
import type { SchemaParts } from './schema-parts.ts';
import { oneOf } from './values.ts';

/** What guests may do at the gateway's port 80. */
const GUEST_APIS = ['forwards', 'none'] as const;
type GuestApiChoice = (typeof GUEST_APIS)[number];

/** The key `api` as a person said it. */
export interface ApiInput {
  readonly guest?: GuestApiChoice | undefined;
}

export interface ApiConfig {
  /** 'forwards': a guest publishes its own ports, as Podman does. 'none': nothing is there. */
  readonly guest: GuestApiChoice;
}

export function apiSchema({ z, value }: SchemaParts): ZodType<ApiInput> {
  return z.strictObject({ guest: value(oneOf(...GUEST_APIS)) }).partial();
}

export function resolveApi({ guest = 'forwards' }: ApiInput): ApiConfig {
  return { guest };
}
