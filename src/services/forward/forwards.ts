import type { ForwardOwner, ForwardSpec, ForwardStatus, ServiceForward } from '../../config/forward.ts';

export interface ForwardExchange {
  readonly owner: ForwardOwner;
  readonly gone: readonly ForwardSpec[];
  readonly come: readonly ForwardSpec[];
  readonly changed: (spec: ForwardSpec, status: ForwardStatus | 'removed') => void;
  readonly failed: (spec: ForwardSpec, error: Error) => void;
}

/**
 * The table of forwards as API, command line and Docker see it. Opening takes until the ports are bound, or known to be
 * unavailable; a forward that only waits for its guest or its address counts as open.
 */
export interface Forwards {
  /**
   * Opens a forward; an equal one that is there already (same owner or not) is returned as it is, persistent if `spec`
   * is. Rejects with SlipwayError: ERR_PORT_IN_USE, ERR_PORT_DENIED, ERR_PORT_ADDRESS, ERR_PORT_LIMIT,
   * ERR_FORWARD_EXISTS (the same host end with another target), ERR_FORWARD_INVALID, ERR_FORWARD_NOT_KEPT (persistent,
   * but the state folder does not take it).
   */
  open(spec: ForwardSpec): Promise<ForwardStatus>;
  /**
   * False when there is none. Closes listeners; established connections live on unless `connections` says otherwise.
   * Rejects with ERR_FORWARD_STAYS, the forward being there as before, when a persistent one cannot be forgotten on
   * disk. What is kept under its id, and was left out for it, goes too.
   */
  close(id: string, options?: { readonly connections?: boolean }): Promise<boolean>;
  /**
   * Makes the forwards of `owner` be `come` instead of `gone`: those of others stay, what is kept under the same id
   * stays kept, and what was left out stands where it has room now. `failed` hears of each that cannot be changed,
   * which is as it was.
   */
  exchange(change: ForwardExchange): Promise<void>;
  /** In order of id. */
  list(): readonly ForwardStatus[];
  get(id: string): ForwardStatus | undefined;
  /** Asks the network how many connections each has; `list` and `get` show it from then on. */
  refresh(): Promise<void>;
  /** Those of one owner, for what may manage only its own. */
  ownedBy(owner: ForwardOwner): readonly ForwardStatus[];
  addService(service: ServiceForward): Promise<void>;
  removeService(service: Pick<ServiceForward, 'protocol' | 'address' | 'port'>): Promise<boolean>;
  services(): readonly ServiceForward[];
  /** Called with each change of state; returns what ends it. */
  onChange(listener: (status: ForwardStatus, removed: boolean) => void): () => void;
}
