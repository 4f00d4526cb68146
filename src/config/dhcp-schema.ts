import { z } from 'zod';
import type { CustomOption } from '../dhcp/dhcp-options.ts';
import type { DhcpInput, ReservationInput } from './dhcp-config.ts';
import {
  addressBytes,
  clientIdentifier,
  clientName,
  domainName,
  macAddress,
  optionCode,
  optionHex,
  optionNumber,
  optionText,
  routeDestination,
} from './dhcp-values.ts';
import { list, value } from './schema-value.ts';
import { hostName, integer, ipv4Address, yesOrNo } from './values.ts';

/** The core gives none that is shorter. */
const MIN_LEASE_SECONDS = 60;
/** The longest lease: 0xffffffff would be one without end (RFC 2132 §9.2). */
const MAX_LEASE_SECONDS = 0xffff_fffe;
const MAX_ADDRESSES = 16;
const MAX_ROUTES = 64;
const MAX_RESERVATIONS = 4_096;

const OPTION_DATA = {
  text: value(optionText),
  hex: value(optionHex),
  addresses: list(ipv4Address, MAX_ADDRESSES).min(1, 'one address or more').transform(addressBytes),
  u8: value(optionNumber(1)),
  u16: value(optionNumber(2)),
  u32: value(optionNumber(4)),
};

const customOption: z.ZodType<CustomOption> = z
  .strictObject({ code: value(optionCode), ...z.object(OPTION_DATA).partial().shape })
  .transform(({ code, ...data }, context): CustomOption => {
    const [bytes, second] = Object.values(data).filter((one) => one !== undefined);
    if (bytes !== undefined && second === undefined) return { code, bytes };
    const message = `one of ${Object.keys(OPTION_DATA).join(', ')} beside the code`;
    context.issues.push({ code: 'custom', message, input: { code, ...data } });
    return z.NEVER;
  });

const reservation: z.ZodType<ReservationInput> = z
  .strictObject({
    mac: value(macAddress).optional(),
    clientId: value(clientIdentifier).optional(),
    address: value(ipv4Address).optional(),
    name: value(clientName).optional(),
  })
  .superRefine(({ mac, clientId, address, name }, context) => {
    if (mac === undefined && clientId === undefined) {
      context.addIssue({ code: 'custom', message: 'mac or clientId, to know the guest by' });
    }
    if (address === undefined && name === undefined) {
      context.addIssue({ code: 'custom', message: 'address or name, for the guest to have' });
    }
  })
  .transform(({ clientId, ...rest }) => ({ ...rest, ...(clientId !== undefined && { clientKeys: clientId }) }));

/** The key `dhcp` of the file. */
export const dhcpSchema: z.ZodType<DhcpInput> = z
  .strictObject({
    leaseSeconds: value(integer(MIN_LEASE_SECONDS, MAX_LEASE_SECONDS)),
    range: z.strictObject({ first: value(ipv4Address), last: value(ipv4Address) }),
    domain: value(domainName),
    search: list(hostName, MAX_ADDRESSES),
    ntp: list(ipv4Address, MAX_ADDRESSES),
    dns: list(ipv4Address, MAX_ADDRESSES),
    routes: z
      .array(
        z
          .strictObject({ to: value(routeDestination), via: value(ipv4Address) })
          .transform(({ to, via }) => ({ destination: to, via })),
      )
      .max(MAX_ROUTES, `at most ${MAX_ROUTES} routes`),
    options: z.array(customOption).superRefine((options, context) => {
      for (const [index, { code }] of options.entries()) {
        if (options.findIndex((other) => other.code === code) === index) continue;
        context.addIssue({ code: 'custom', message: 'each option code once', path: [index, 'code'] });
      }
    }),
    reservations: z.array(reservation).max(MAX_RESERVATIONS, `at most ${MAX_RESERVATIONS} reservations`),
    leasesPerGuest: value(integer(1, 4_096)),
    probe: value(yesOrNo),
  })
  .partial();
