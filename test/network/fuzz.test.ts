import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ip, OUTSIDE } from '../support/core-world.ts';
import { type Arrived, NetworkWorld } from '../support/network-world.ts';
import { FuzzGuest } from './fuzz-guest.ts';
import { BLACK_HOLE, GUESTS, mutated, type Step, step, type TapFacts, UNREACHABLE } from './fuzz-steps.ts';

/** Enough for the suite; SLIPWAY_FUZZ_RUNS asks for more. */
const RUNS = Number(process.env.SLIPWAY_FUZZ_RUNS ?? 150);
/** What no table may exceed; the first four are the limits of NetworkWorld. */
const BOUNDS: Readonly<Record<string, number>> = {
  'tcp-flows': 64,
  'tcp-dials-in-flight': 32,
  'udp-mappings': 32,
  'icmp-echo-mappings': 1024,
  reassemblies: 64,
  neighbors: 254,
  'dhcp-leases': 252,
  'dhcp-probes': 32 * 6,
  'switch-addresses': 4096,
};
/** These age in their place. */
const AGEING = ['neighbors', 'dhcp-leases', 'tcp-time-wait'];
/** Longer than all that waits for a guest. */
const LONG_MS = 20 * 60_000;
const SMALL_STREAMS = { hostReceiveBytes: 20_000, hostSendBytes: 10_000, peerReceiveBytes: 5_000 };

/** A network with guests and servers, to which the steps happen. */
class Fuzz {
  readonly world = new NetworkWorld({ host: { limits: SMALL_STREAMS } });
  readonly #guests: FuzzGuest[];
  readonly #arrived: Arrived[];

  constructor() {
    const { host } = this.world;
    this.#arrived = this.world.listen(OUTSIDE, 0);
    this.world.listen(ip('127.0.0.1'), 80, (one) => void this.#arrived.push(one));
    host.listenUdp(OUTSIDE, 7, (arrival) => arrival.reply(arrival.bytes));
    host.listenUdp(OUTSIDE, 80, (arrival) => arrival.reply(new Uint8Array(3000)));
    host.answerEcho(OUTSIDE);
    host.blackHole(BLACK_HOLE);
    host.failDial(UNREACHABLE, 0, 'EHOSTUNREACH');
    host.failDial(UNREACHABLE, 81, 'EMFILE', true);
    host.failDatagram(UNREACHABLE, 0, { code: 'EHOSTUNREACH', icmpType: 3, icmpCode: 1, offender: OUTSIDE });
    this.#guests = Array.from({ length: GUESTS }, (_, i) => new FuzzGuest(this.world, i));
  }

  run(one: Step): void {
    this.#happen(one);
    this.#checkBounds();
  }

  #happen(one: Step): void {
    const { world } = this;
    switch (one.do) {
      case 'send':
        this.#send(one);
        return;
      case 'open': {
        const guest = this.#guests[one.guest]!;
        guest.end.send([guest.syn(one.port)]);
        this.#settle();
        guest.end.send(guest.acknowledgments());
        return;
      }
      case 'acknowledge': {
        const guest = this.#guests[one.guest]!;
        guest.listen();
        guest.end.send(guest.acknowledgments());
        return;
      }
      case 'host':
        this.#hostActs(one);
        return;
      case 'answer': {
        const question = world.questions.shift();
        if (question !== undefined) world.answer(question, new Uint8Array(one.length));
        return;
      }
      case 'time':
        world.advance(one.ms);
        return;
      case 'room':
        this.#guests[one.guest]!.end.makeRoom(one.bytes);
        return;
      case 'split':
        this.#guests[one.guest]!.end.pipe.readLimit = one.limit;
        return;
      case 'leave':
        this.#leave(this.#guests[one.guest]!, one.how, one.back);
    }
  }

  /** Everyone goes and time passes. */
  close(): void {
    const { world } = this;
    world.settle();
    for (const { peer } of this.#arrived) {
      peer.resume();
      peer.end();
    }
    world.settle();
    for (const guest of this.#guests) guest.end.attached?.detach();
    world.advance(LONG_MS);
  }

  /** What is still held. */
  get held(): [string, number][] {
    return Object.entries(this.world.gauges).filter(([name, value]) => value !== 0 && !AGEING.includes(name));
  }

  #settle(): void {
    this.world.settle();
    for (const guest of this.#guests) guest.listen();
  }

  #send(one: Extract<Step, { do: 'send' }>): void {
    const guest = this.#guests[one.guest]!;
    const frames = guest.frames(one.wire);
    const { mutation } = one;
    if (mutation !== undefined && frames[0] !== undefined) frames[0] = mutated(frames[0], mutation);
    guest.end.send(frames, one.header && tapHeader(one.header));
    if (!one.quiet) this.#settle();
  }

  #hostActs(one: Extract<Step, { do: 'host' }>): void {
    const arrived = this.#arrived[one.peer % Math.max(1, this.#arrived.length)];
    if (arrived === undefined) return;
    if (one.act === 'send') arrived.peer.send(new Uint8Array(one.bytes));
    else if (one.act === 'flood') arrived.peer.send(new Uint8Array(one.bytes * 100));
    else arrived.peer[one.act]();
  }

  #leave(guest: FuzzGuest, how: Extract<Step, { do: 'leave' }>['how'], back: boolean): void {
    const { end } = guest;
    if (how === 'end') end.hangUp();
    else if (how === 'nonsense') end.sendRaw(new TextEncoder().encode('GET / HTTP/1.1\r\n'));
    else if (how === 'detach') end.attached?.detach();
    else {
      end.pipe.error = 'ECONNRESET';
      end.attached?.readable();
    }
    if (!back) return;
    this.world.settle();
    end.attached?.detach();
    guest.attach(this.world);
  }

  #checkBounds(): void {
    const { gauges } = this.world;
    for (const [name, value] of Object.entries(gauges)) {
      assert.ok(value >= 0 && value <= (BOUNDS[name] ?? Number.POSITIVE_INFINITY), `${name}: ${value}`);
    }
  }
}

function tapHeader(facts: TapFacts): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  bytes[0] = facts.flags;
  bytes[1] = facts.gso;
  view.setUint16(4, facts.size, true);
  view.setUint16(6, facts.start, true);
  view.setUint16(8, facts.offset, true);
  return bytes;
}

const steps = fc.array(step, { minLength: 1, maxLength: 200, size: 'max' });

describe('a network to which anything happens', () => {
  it('never throws, writes nowhere else, keeps its bounds, and holds nothing once all are gone', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const fuzz = new Fuzz();
        for (const one of all) fuzz.run(one);
        fuzz.close();
        assert.deepEqual(fuzz.held, []);
        fuzz.world.arena.check();
      }),
      { numRuns: RUNS },
    );
  });

  it('is destroyed at any moment without a trace', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const fuzz = new Fuzz();
        for (const one of all) fuzz.run(one);
        fuzz.world.network.abort();
        const held = fuzz.held
          .map(([name]) => name)
          .filter((name) => !['reassemblies', 'switch-addresses'].includes(name));
        assert.deepEqual(held, []);
        fuzz.world.arena.check();
      }),
      { numRuns: RUNS },
    );
  });
});
