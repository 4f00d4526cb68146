import { MemoryGuest } from '../memory-guest/memory-guest.ts';
import { resolve } from '../memory-guest/resolve.ts';
import { OPTION_DNS_SERVERS, OPTION_ROUTER, OPTION_SUBNET_MASK } from '../wire/dhcpv4.ts';
import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';
import type { CheckReport } from './checklist.ts';
import { type CheckedGuest, type GuestPlan, runChecks } from './checks.ts';

const PINGS = 3;

/** Runs the checks on a guest in memory that attaches at the unix socket `path`. */
export async function checkMemoryGuest(
  path: string,
  mtu: number,
  plan: GuestPlan,
  report: (report: CheckReport) => void,
): Promise<void> {
  const guest = await MemoryGuest.attach(path, { mac: plan.mac, mtu });
  try {
    await runChecks(checked(guest), plan, report);
  } finally {
    guest.close();
  }
}

function checked(guest: MemoryGuest): CheckedGuest {
  let dnsServer = 0;
  return {
    openDatagrams: async (port) => {
      const { send, receive, close } = guest.datagrams(port);
      return { send: (bytes, toPort, address) => send(bytes, toPort, number(address)), receive, close };
    },
    leased: ({ yiaddr, options }) => {
      guest.configure(yiaddr, options.u32(OPTION_SUBNET_MASK) ?? 0, options.u32(OPTION_ROUTER) ?? 0);
      dnsServer = options.u32(OPTION_DNS_SERVERS) ?? 0;
    },
    lookup: async (name) => {
      const datagrams = guest.datagrams(0);
      try {
        const address = await resolve(datagrams, dnsServer, name);
        if (address === undefined) throw new Error(`${name} has no address`);
        return formatIpv4Address(address);
      } finally {
        datagrams.close();
      }
    },
    connect: (port, address) => guest.connect(number(address), port),
    ping: async (address) => {
      let total = 0;
      for (let i = 0; i < PINGS; i++) total += await guest.ping(number(address));
      return { detail: `${address} answers in ${(total / PINGS).toFixed(3)} ms` };
    },
  };
}

function number(text: string): number {
  const address = parseIpv4Address(text);
  if (address === undefined) throw new RangeError(`not an IPv4 address: ${text}`);
  return address;
}
