/** What guests may do at the gateway's port 80. */
export const GUEST_APIS = ['forwards', 'none'] as const;
export type GuestApiChoice = (typeof GUEST_APIS)[number];

/** The key `api` as a person said it. */
export interface ApiInput {
  readonly guest?: GuestApiChoice | undefined;
}

export interface ApiConfig {
  /** 'forwards': a guest publishes its own ports, as Podman does. 'none': nothing is there. */
  readonly guest: GuestApiChoice;
}

export function resolveApi({ guest = 'forwards' }: ApiInput): ApiConfig {
  return { guest };
}
