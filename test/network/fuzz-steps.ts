import fc from 'fast-check';
import { ACK, FIN, PSH, RST, SYN } from '../../src/wire/tcp.ts';
import { GATEWAY, HOST, ip, OUTSIDE } from '../support/core-world.ts';
import { mendChecksums } from '../support/guest-frames.ts';

/** Where nobody listens, nobody answers, and no way leads. */
export const REFUSED = ip('203.0.113.8');
export const BLACK_HOLE = ip('203.0.113.9');
export const UNREACHABLE = ip('203.0.113.10');
export const GUESTS = 4;
export const FIRST_GUEST = ip('192.168.65.3');

const STRANGE = ['192.168.65.255', '255.255.255.255', '224.0.0.251', '127.0.0.1', '192.168.65.77', '0.0.0.0'].map(ip);

/** The first stands for all that is usual, so that shrinking ends there. */
function mostly<T, U>(usual: T, rare: fc.Arbitrary<U>, weight = 3): fc.Arbitrary<T | U> {
  return fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: rare });
}

const guest = fc.nat(GUESTS - 1);
const elsewhere = fc.constantFrom(
  HOST,
  GATEWAY,
  REFUSED,
  BLACK_HOLE,
  UNREACHABLE,
  FIRST_GUEST,
  FIRST_GUEST + 1,
  ...STRANGE,
);
const destination = mostly(OUTSIDE, elsewhere);
const destinationPort = mostly(80, fc.constantFrom(81, 53, 67, 7, 0), 5);
const ordinaryFlags = fc.constantFrom(ACK, ACK | PSH, FIN | ACK, SYN, RST, RST | ACK, SYN | ACK);

/** What goes over a guest's wire. */
const wire = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      what: fc.constant('tcp' as const),
      port: fc.nat(3),
      destination: mostly(OUTSIDE, elsewhere, 8),
      destinationPort,
      flags: mostly(ACK, fc.oneof({ weight: 4, arbitrary: ordinaryFlags }, { weight: 1, arbitrary: fc.nat(255) }), 2),
      /** From where the guest stands: 0 is in order. */
      shift: mostly(0, fc.oneof(fc.integer({ min: -3000, max: 100_000 }), fc.integer())),
      acknowledgmentShift: mostly(0, fc.oneof(fc.integer({ min: -70_000, max: 3000 }), fc.integer())),
      length: fc.oneof(fc.constant(0), fc.nat(1460)),
      /** So many in a row: a train. */
      count: mostly(1, fc.nat(40)),
      window: mostly(16_000, fc.constantFrom(0, 1, 500, 65_535)),
      options: mostly(undefined, fc.uint8Array({ minLength: 12, maxLength: 12 }), 6),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('udp' as const),
      port: mostly(0, fc.nat(40), 1),
      destination,
      destinationPort,
      length: fc.oneof(fc.nat(100), fc.nat(9000)),
      /** Fragments: payload bytes of each (0: as the MTU wants), in what order, and which is lost. */
      step: mostly(0, fc.constantFrom(8, 512, 1472), 1),
      order: fc.nat(5),
      lose: mostly(-1, fc.nat(10)),
      twice: mostly(-1, fc.nat(10)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('echo' as const),
      destination,
      identifier: mostly(1, fc.nat(400)),
      type: mostly(8, fc.constantFrom(0, 3, 11, 13)),
      length: fc.nat(2000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('arp' as const),
      operation: fc.constantFrom(1, 2, 9),
      sender: fc.nat(255),
      target: fc.nat(255),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('dhcp' as const),
      type: fc.integer({ min: 1, max: 9 }),
      wanted: fc.nat(255),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('noise' as const),
      bytes: fc.uint8Array({ minLength: 14, maxLength: 120 }),
      toGateway: fc.boolean(),
    }),
  },
);

const mutation = fc.record({
  places: fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 3 }),
  /** Checksums are made right again. */
  mend: fc.boolean(),
  cut: mostly(0, fc.nat(40)),
});

/** What a tap's header says. */
const header = fc.record({
  flags: fc.nat(3),
  gso: fc.constantFrom(0, 1, 3, 4, 5, 0x81),
  size: fc.constantFrom(0, 1, 8, 536, 1448),
  start: fc.constantFrom(34, 0, 14, 54, 6000),
  offset: fc.constantFrom(16, 0, 6, 60_000),
});

/** One thing that happens. */
export const step = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      guest,
      wire,
      mutation: mostly(undefined, mutation, 4),
      header: mostly(undefined, header, 4),
      quiet: mostly(false, fc.constant(true)),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('open' as const), guest, port: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), guest }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('host' as const),
      peer: fc.nat(),
      act: fc.constantFrom(
        'send' as const,
        'flood' as const,
        'end' as const,
        'reset' as const,
        'pause' as const,
        'resume' as const,
      ),
      bytes: fc.nat(5000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('answer' as const), length: fc.nat(3000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('time' as const),
      ms: fc.constantFrom(1, 5, 40, 250, 1100, 5000, 31_000, 70_000, 660_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('room' as const),
      guest,
      bytes: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0, 60, 3000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('split' as const),
      guest,
      limit: fc.constantFrom(Number.POSITIVE_INFINITY, 1, 5, 1500, 4096),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('leave' as const),
      guest,
      how: fc.constantFrom('detach' as const, 'end' as const, 'error' as const, 'nonsense' as const),
      back: mostly(true, fc.constant(false)),
    }),
  },
);

/** One frame, as it is or damaged. */
export const wireAndMutation = fc.record({ wire, mutation: mostly(undefined, mutation, 1) });

export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
export type Wire = Extract<Step, { do: 'send' }>['wire'];
export type Mutation = NonNullable<Extract<Step, { do: 'send' }>['mutation']>;
export type TapFacts = NonNullable<Extract<Step, { do: 'send' }>['header']>;

/** The frame, damaged. */
export function mutated(frame: Uint8Array, { places, mend, cut }: Mutation): Uint8Array {
  for (const [at, value] of places) frame[at % frame.length] = value;
  if (mend) mendChecksums(frame);
  return frame.subarray(0, Math.max(14, frame.length - cut));
}
