import { type Cidr, formatCidr } from '../wire/cidr.ts';

/** Raised when an older Slipway could not read what is written. */
const VERSION = 1;

export type JsonObject = Readonly<Record<string, unknown>>;

/** How a list of things is called and read. */
export interface SubnetList<T> {
  /** The key of the list, in the plural: 'leases'. */
  readonly name: string;
  readonly most: number;
  /** Undefined when it is not one. */
  readonly read: (raw: JsonObject) => T | undefined;
}

/** What is kept of one subnet, as JSON for people and programs: a line for each value. */
export function formatSubnetList(subnet: Cidr, name: string, entries: readonly JsonObject[]): string {
  return `${JSON.stringify({ version: VERSION, subnet: formatCidr(subnet), [name]: entries }, null, 1)}\n`;
}

/** The entries of such a text, or why it cannot be used, as the end of a sentence. Never throws. */
export function parseSubnetList<T>(text: string, subnet: Cidr, { name, most, read }: SubnetList<T>): T[] | string {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (!isObject(raw)) return `it is not a list of ${name}`;
  if (raw.version !== VERSION) return `its version is ${JSON.stringify(raw.version)}, not ${VERSION}`;
  if (raw.subnet !== formatCidr(subnet)) return `it belongs to the subnet ${JSON.stringify(raw.subnet)}`;
  const list = raw[name];
  if (!Array.isArray(list) || list.length > most) return `it is not a list of ${name}`;
  const entries: T[] = [];
  for (const [index, one] of list.entries()) {
    const entry = isObject(one) ? read(one) : undefined;
    if (entry === undefined) return `entry ${index} of its ${name} cannot be used`;
    entries.push(entry);
  }
  return entries;
}

export function isObject(raw: unknown): raw is JsonObject {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}
