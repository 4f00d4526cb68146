import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readMac, readU16 } from '../../src/wire/bytes.ts';
import { GATEWAY_MAC } from '../support/core-world.ts';
import { NetworkWorld } from '../support/network-world.ts';
import { FuzzGuest } from './fuzz-guest.ts';
import { mutated, wireAndMutation } from './fuzz-steps.ts';

/** Said beside an outcome, not in its place: about tables, answers and dials. */
const REMARKS =
  /^(neighbor-|switch-address-|switch-port-address-|icmp-error-(sent|suppressed|rate-limited|port-full)|tcp-(dials$|dial-|refused|unreachable|challenge|reset-|outlet-full|bad-options|beyond-window|fast-|retrans|too-many|chunk)|reassembly-(evicted|timed-out)|udp-(evicted|outlet-full|host|no-socket)|icmp-echo-(evicted|failed|host-full|reply-port-full)|dhcp-(pool|probe|claim|option))/;
/** What these accept leaves for a host socket, or changes a flow: that is its outcome, and no counter has it. */
const SILENT = [1, 6, 17];

describe('counters', () => {
  it('give each frame of a guest one outcome', () => {
    const world = new NetworkWorld();
    const guest = new FuzzGuest(world, 0);
    const other = world.qemu('other');
    fc.assert(
      fc.property(wireAndMutation, ({ wire, mutation }) => {
        const made = guest.frames(wire)[0];
        fc.pre(made !== undefined);
        const frame = mutation === undefined ? made : mutated(made, mutation);
        world.settle();
        const before = world.counters.snapshot();
        const sentBefore = world.network.ports[1]!.txFrames;
        guest.end.send([frame]);
        world.network.turn.run(world.nowMs);
        const words = Object.entries(world.counters.snapshot()).flatMap(([word, value]) =>
          REMARKS.test(word) ? [] : new Array<string>(value - (before[word] ?? 0)).fill(word),
        );
        const forwarded = world.network.ports[1]!.txFrames > sentBefore;
        const destination = readMac(frame, 0);
        const group = (frame[0]! & 1) === 1;
        const heard = destination === GATEWAY_MAC || group;
        // A broadcast has two: what became of it at the other guest and at the gateway.
        assert.ok(words.length <= (group ? 2 : 1), `${words}`);
        if (words.length === 0 && heard) {
          assert.equal(readU16(frame, 12), 0x0800);
          assert.ok(SILENT.includes(frame[23]!), `nothing tells what became of protocol ${frame[23]}`);
        }
        if (words.length === 0 && !heard) assert.ok(forwarded, 'neither forwarded nor counted');
        guest.listen();
        other.take();
        world.nowMs += 3;
      }),
      { numRuns: Number(process.env.SLIPWAY_FUZZ_RUNS ?? 3000) },
    );
    assert.equal(world.gauges['tcp-gathered-pieces'], 0);
  });
});
