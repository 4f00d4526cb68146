import { DNS_MAX_LABEL_BYTES } from '../../../wire/dns-name.ts';
/** A guest's lease: its address, and its name as the guest sent it, unchecked; '' for none. */
export interface LeaseName {
  readonly name: string;
  readonly address: number;
}

/**
 * The label that a guest's name becomes: lower case, whatever is no letter, digit or hyphen becomes a hyphen, none at
 * the ends (RFC 952, RFC 1123 §2.1), at most 63 octets; of a whole domain name the first label, since the rest is where
 * the guest believes to be. '' when nothing is left.
 */
export function hostLabel(name: string): string {
  const first = name.split('.').find((part) => part !== '') ?? '';
  return first
    .replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
    .slice(0, 4 * DNS_MAX_LABEL_BYTES)
    .replaceAll(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, DNS_MAX_LABEL_BYTES)
    .replace(/-+$/, '');
}

/** Decides which lease holds a name: the first that called itself so. */
export class LeaseNames {
  /** By address, the oldest lease first. */
  readonly #labels = new Map<number, string>();
  /** By label: the addresses that call themselves so, in the order of their claims. No entry is empty. */
  readonly #claims = new Map<string, number[]>();

  get size(): number {
    return this.#labels.size;
  }

  /** The oldest lease's address. */
  get oldest(): number | undefined {
    return this.#labels.keys().next().value;
  }

  /** The label of an address of a lease, whether or not another one holds it; undefined without lease. */
  label(address: number): string | undefined {
    return this.#labels.get(address);
  }

  /** The address that a label means. */
  holder(label: string): number | undefined {
    return this.#claims.get(label)?.[0];
  }

  /** The label that means this address. */
  heldBy(address: number): string | undefined {
    const label = this.#labels.get(address);
    return label !== undefined && this.holder(label) === address ? label : undefined;
  }

  /** A lease began or renewed. Its age among the leases stays when it was there. */
  set(address: number, label: string): void {
    const before = this.#labels.get(address);
    if (before === label) return;
    if (before !== undefined) this.#yield(address, before);
    this.#labels.set(address, label);
    if (label === '') return;
    const claims = this.#claims.get(label);
    if (claims === undefined) this.#claims.set(label, [address]);
    else claims.push(address);
  }

  remove(address: number): void {
    const label = this.#labels.get(address);
    if (label === undefined) return;
    this.#labels.delete(address);
    this.#yield(address, label);
  }

  #yield(address: number, label: string): void {
    const others = this.#claims.get(label)?.filter((other) => other !== address) ?? [];
    if (others.length === 0) this.#claims.delete(label);
    else this.#claims.set(label, others);
  }
}
