import { latin1From, readMac, readU16, readU32 } from './bytes.ts';
import { parseClientFqdn } from './dhcpv4-values.ts';

/**
 * DHCP for IPv4: reading a message (RFC 2131 §2, options RFC 2132 and RFC 3396). Options are kept as (code, place,
 * length) in the order in which RFC 3396 §5 joins them: the options field, then `file`, then `sname` where option 52
 * says that they hold options too. Written by `DhcpWriter` in dhcpv4-writer.ts.
 */

/** The fields before the options, without the magic cookie. */
export const DHCP_FIXED_BYTES = 236;
/** With the cookie: the shortest message. */
export const DHCP_MIN_BYTES = 240;
/** What every client takes as a UDP payload: an IP packet of 576 bytes (RFC 2131 §2) less 28 of headers. */
export const DHCP_DEFAULT_MAX_BYTES = 548;
export const DHCP_MAGIC_COOKIE = 0x6382_5363;

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

export const BOOT_REQUEST = 1;
export const BOOT_REPLY = 2;

/** Message types: option 53 (RFC 2132 §9.6). */
export const DHCP_DISCOVER = 1;
export const DHCP_OFFER = 2;
export const DHCP_REQUEST = 3;
export const DHCP_DECLINE = 4;
export const DHCP_ACK = 5;
export const DHCP_NAK = 6;
export const DHCP_RELEASE = 7;
export const DHCP_INFORM = 8;

/** Option codes (RFC 2132 unless told). */
export const OPTION_PAD = 0;
export const OPTION_SUBNET_MASK = 1;
export const OPTION_ROUTER = 3;
export const OPTION_DNS_SERVERS = 6;
export const OPTION_HOST_NAME = 12;
export const OPTION_DOMAIN_NAME = 15;
export const OPTION_INTERFACE_MTU = 26;
export const OPTION_BROADCAST_ADDRESS = 28;
export const OPTION_NTP_SERVERS = 42;
export const OPTION_REQUESTED_ADDRESS = 50;
export const OPTION_LEASE_SECONDS = 51;
export const OPTION_OVERLOAD = 52;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_SERVER_IDENTIFIER = 54;
export const OPTION_PARAMETER_REQUEST_LIST = 55;
export const OPTION_MESSAGE = 56;
export const OPTION_MAX_MESSAGE_BYTES = 57;
export const OPTION_RENEWAL_SECONDS = 58;
export const OPTION_REBINDING_SECONDS = 59;
export const OPTION_CLIENT_IDENTIFIER = 61;
/** RFC 4702 */
export const OPTION_CLIENT_FQDN = 81;
/** RFC 3046 */
export const OPTION_RELAY_AGENT = 82;
/** RFC 3397 */
export const OPTION_DOMAIN_SEARCH = 119;
/** RFC 3442 */
export const OPTION_CLASSLESS_ROUTES = 121;
export const OPTION_END = 255;

/** A message of 1,500 bytes of nothing but empty options would have 630; clients send under 20. */
export const DHCP_MAX_OPTIONS = 128;

export const SNAME_AT = 44;
export const SNAME_BYTES = 64;
export const FILE_AT = 108;
export const FILE_BYTES = 128;
const OVERLOAD_FILE = 1;
const OVERLOAD_SNAME = 2;

/**
 * Shorter than the fixed fields; neither request nor reply; not Ethernet; plain BOOTP or nonsense; an option that runs
 * past its field; more options than DHCP_MAX_OPTIONS.
 */
export type DhcpFault =
  | 'dhcp-truncated'
  | 'dhcp-bad-operation'
  | 'dhcp-bad-hardware'
  | 'dhcp-bad-cookie'
  | 'dhcp-bad-options'
  | 'dhcp-too-many-options';

/** The fixed fields under the RFC's names (RFC 2131 §2). Addresses as numbers, 0 for none. */
export interface DhcpFields {
  /** BOOT_REQUEST or BOOT_REPLY. */
  readonly operation: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  /** The client cannot take unicast before it has an address (RFC 2131 §4.1). */
  readonly broadcast: boolean;
  readonly ciaddr: number;
  readonly yiaddr: number;
  readonly siaddr: number;
  readonly giaddr: number;
  /** The client's MAC as a 48-bit number. */
  readonly chaddr: number;
}

/**
 * Filled by `parseDhcp`. Refers to the bytes it was parsed from: what the getters return is right only while these
 * stand.
 */
export class DhcpMessage implements DhcpFields {
  operation = 0;
  hops = 0;
  xid = 0;
  secs = 0;
  broadcast = false;
  ciaddr = 0;
  yiaddr = 0;
  siaddr = 0;
  giaddr = 0;
  chaddr = 0;
  readonly options: DhcpOptionTable = new DhcpOptionTable();

  /** Option 53; 0 when there is none or it is malformed (plain BOOTP). */
  get messageType(): number {
    return this.options.u8(OPTION_MESSAGE_TYPE) ?? 0;
  }

  /** Option 50. */
  get requestedAddress(): number | undefined {
    return this.options.u32(OPTION_REQUESTED_ADDRESS);
  }

  /** Option 54. */
  get serverIdentifier(): number | undefined {
    return this.options.u32(OPTION_SERVER_IDENTIFIER);
  }

  /** Option 51; 0xffffffff is for ever. */
  get leaseSeconds(): number | undefined {
    return this.options.u32(OPTION_LEASE_SECONDS);
  }

  /**
   * Option 57: the longest IP packet that the client takes with an answer; at least 576 when it keeps the rules (RFC
   * 2131 §2).
   */
  get maxMessageBytes(): number | undefined {
    return this.options.u16(OPTION_MAX_MESSAGE_BYTES);
  }

  /** Option 12, as Latin-1 without trailing NULs: not checked in any other way. */
  get hostName(): string | undefined {
    return this.options.text(OPTION_HOST_NAME);
  }

  /** Option 61: a copy; the first byte is the type. */
  get clientIdentifier(): Uint8Array | undefined {
    return this.options.copy(OPTION_CLIENT_IDENTIFIER);
  }

  /** Option 81. */
  get fullName(): string | undefined {
    const value = this.options.copy(OPTION_CLIENT_FQDN);
    return value === undefined ? undefined : parseClientFqdn(value);
  }

  /** Option 82: what a relay added, a copy. */
  get relayInformation(): Uint8Array | undefined {
    return this.options.copy(OPTION_RELAY_AGENT);
  }

  /** Option 55: the codes that the client asks for, in its order. */
  get parameterRequestList(): Uint8Array | undefined {
    return this.options.copy(OPTION_PARAMETER_REQUEST_LIST);
  }
}

/** The options of one message, pieces of a split one apart and in order. PAD and END are left out. */
export class DhcpOptionTable {
  /** How many of the three arrays are used. */
  count = 0;
  readonly code: Uint8Array = new Uint8Array(DHCP_MAX_OPTIONS);
  /** Offset of the value in `bytes`, and its length without code and length byte. */
  readonly at: Int32Array = new Int32Array(DHCP_MAX_OPTIONS);
  readonly length: Uint8Array = new Uint8Array(DHCP_MAX_OPTIONS);
  #bytes: Uint8Array = new Uint8Array(0);

  /** What `at` points into. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Empties the table for a message in `bytes`. */
  reset(bytes: Uint8Array): void {
    this.count = 0;
    this.#bytes = bytes;
  }

  /** Adds one; false when the table is full. */
  add(code: number, at: number, length: number): boolean {
    if (this.count === DHCP_MAX_OPTIONS) return false;
    this.code[this.count] = code;
    this.at[this.count] = at;
    this.length[this.count] = length;
    this.count++;
    return true;
  }

  /** Index of the first piece of an option, −1 when it is missing. */
  find(code: number): number {
    const index = this.code.indexOf(code);
    return index < this.count ? index : -1;
  }

  has(code: number): boolean {
    return this.find(code) >= 0;
  }

  /** The value of an option of one byte; undefined when it is missing or has another length (so for the next two). */
  u8(code: number): number | undefined {
    const index = this.#findSized(code, 1);
    return index < 0 ? undefined : this.#bytes[this.at[index]!];
  }

  u16(code: number): number | undefined {
    const index = this.#findSized(code, 2);
    return index < 0 ? undefined : readU16(this.#bytes, this.at[index]!);
  }

  /** A number or an IPv4 address. */
  u32(code: number): number | undefined {
    const index = this.#findSized(code, 4);
    return index < 0 ? undefined : readU32(this.#bytes, this.at[index]!);
  }

  /** The value as Latin-1 without trailing NULs (RFC 2132 §2), pieces joined. */
  text(code: number): string | undefined {
    const value = this.copy(code);
    if (value === undefined) return undefined;
    let length = value.length;
    while (length > 0 && value[length - 1] === 0) length--;
    return latin1From(value, 0, length);
  }

  /** A copy of the value, the pieces of a split option joined (RFC 3396); at most what the message holds. */
  copy(code: number): Uint8Array | undefined {
    let length = 0;
    let found = false;
    for (let i = 0; i < this.count; i++) {
      if (this.code[i] !== code) continue;
      found = true;
      length += this.length[i]!;
    }
    if (!found) return undefined;
    const value = new Uint8Array(length);
    let filled = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.code[i] !== code) continue;
      value.set(this.#bytes.subarray(this.at[i]!, this.at[i]! + this.length[i]!), filled);
      filled += this.length[i]!;
    }
    return value;
  }

  #findSized(code: number, length: number): number {
    const index = this.find(code);
    return index >= 0 && this.length[index] === length ? index : -1;
  }
}

/** Reads the message at `at`; `end` is where the UDP payload ends. Never throws, never reads past `end`. */
export function parseDhcp(bytes: Uint8Array, at: number, end: number, into: DhcpMessage): DhcpFault | undefined {
  into.options.reset(bytes);
  if (end - at < DHCP_MIN_BYTES) return 'dhcp-truncated';
  const operation = bytes[at]!;
  if (operation !== BOOT_REQUEST && operation !== BOOT_REPLY) return 'dhcp-bad-operation';
  if (bytes[at + 1] !== 1 || bytes[at + 2] !== 6) return 'dhcp-bad-hardware';
  if (readU32(bytes, at + DHCP_FIXED_BYTES) !== DHCP_MAGIC_COOKIE) return 'dhcp-bad-cookie';
  into.operation = operation;
  into.hops = bytes[at + 3]!;
  into.xid = readU32(bytes, at + 4);
  into.secs = readU16(bytes, at + 8);
  into.broadcast = (bytes[at + 10]! & 0x80) !== 0;
  into.ciaddr = readU32(bytes, at + 12);
  into.yiaddr = readU32(bytes, at + 16);
  into.siaddr = readU32(bytes, at + 20);
  into.giaddr = readU32(bytes, at + 24);
  into.chaddr = readMac(bytes, at + 28);
  return parseOptionFields(bytes, at, end, into.options);
}

function parseOptionFields(
  bytes: Uint8Array,
  at: number,
  end: number,
  options: DhcpOptionTable,
): DhcpFault | undefined {
  const fault = parseOptions(bytes, at + DHCP_MIN_BYTES, end, options);
  if (fault !== undefined) return fault;
  const overload = options.u8(OPTION_OVERLOAD) ?? 0;
  if ((overload & OVERLOAD_FILE) !== 0) {
    const inFile = parseOptions(bytes, at + FILE_AT, at + FILE_AT + FILE_BYTES, options);
    if (inFile !== undefined) return inFile;
  }
  if ((overload & OVERLOAD_SNAME) === 0) return undefined;
  return parseOptions(bytes, at + SNAME_AT, at + SNAME_AT + SNAME_BYTES, options);
}

/** One field of options, up to END or (some clients send none) the field's end. */
function parseOptions(bytes: Uint8Array, at: number, end: number, options: DhcpOptionTable): DhcpFault | undefined {
  while (at < end) {
    const code = bytes[at]!;
    if (code === OPTION_END) return undefined;
    if (code === OPTION_PAD) {
      at++;
      continue;
    }
    if (end - at < 2) return 'dhcp-bad-options';
    const length = bytes[at + 1]!;
    if (length > end - at - 2) return 'dhcp-bad-options';
    if (!options.add(code, at + 2, length)) return 'dhcp-too-many-options';
    at += 2 + length;
  }
  return undefined;
}
