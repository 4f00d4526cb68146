import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readU16, readU32 } from '../../src/wire/bytes.ts';
import { arpFrame, CoreWorld, GATEWAY, GUEST, GUEST_MAC, type Guest, ipFrame } from '../support/core-world.ts';

const OTHER_MAC = GUEST_MAC + 1;

class Conflict {
  readonly world = new CoreWorld();
  readonly first = this.world.guest();
  readonly second = this.world.guest();
  readonly packets = this.world.record(17);
  nowMs = 1_000;

  constructor() {
    this.speak(this.first, GUEST_MAC);
  }

  /** A packet from GUEST's address; true when it was heard. */
  speak(guest: Guest, mac: number): boolean {
    const before = this.packets.length;
    this.world.receive(guest, ipFrame({ sourceMac: mac }));
    return this.packets.length > before;
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.world.turn.run(this.nowMs);
  }

  get holder(): Guest['port'] | undefined {
    return this.world.interface.neighbors.find(GUEST)?.port;
  }

  /** ARP requests for GUEST's address that the gateway sent to `guest`. */
  asked(guest: Guest): number {
    return guest.outlet
      .take()
      .filter(({ bytes }) => readU16(bytes, 12) === 0x0806 && readU16(bytes, 20) === 1 && readU32(bytes, 38) === GUEST)
      .length;
  }
}

describe('two guests with one address', () => {
  it('the first keeps it while it answers, by ARP as by packets; one line names both and the address', () => {
    const t = new Conflict();
    for (let i = 0; i < 10; i++) {
      assert.equal(t.speak(t.second, OTHER_MAC), false);
      t.world.receive(t.second, arpFrame(2, OTHER_MAC, GUEST, GATEWAY));
      assert.equal(t.holder, t.first.port);
      assert.equal(t.asked(t.first), 1);
      t.world.receive(t.first, arpFrame(2, GUEST_MAC, GUEST, GATEWAY));
      t.pass(1_500);
    }
    assert.equal(t.speak(t.first, GUEST_MAC), true);
    assert.equal(t.world.counters.get('address-conflict'), 20);
    assert.equal(t.world.counters.get('ipv4-address-in-use'), 10);
    assert.equal(t.world.counters.get('arp-address-in-use'), 10);
    const lines = t.world.lines.filter(({ message }) => message.startsWith('two guests have the same address'));
    assert.deepEqual(lines[0]?.fields, {
      address: '192.168.65.3',
      guest: t.first.port.attachment,
      other: t.second.port.attachment,
      mac: '5a:94:ef:e4:00:02',
    });
    assert.equal(lines.length, 1);
  });

  it('the second gets it a second after the first did not answer', () => {
    const t = new Conflict();
    assert.equal(t.speak(t.second, OTHER_MAC), false);
    t.pass(900);
    assert.equal(t.speak(t.second, OTHER_MAC), false);
    t.pass(200);
    assert.equal(t.speak(t.second, OTHER_MAC), true);
    assert.equal(t.holder, t.second.port);
  });

  it('the second gets it at once when the first is detached', () => {
    const t = new Conflict();
    t.world.switch.detach(t.first.port);
    assert.equal(t.speak(t.second, OTHER_MAC), true);
    assert.equal(t.world.counters.get('address-conflict'), 0);
  });

  it('a guest that plugs in again, or changes its MAC, is itself and moves at once', () => {
    const t = new Conflict();
    assert.equal(t.speak(t.second, GUEST_MAC), true);
    assert.equal(t.holder, t.second.port);
    assert.equal(t.speak(t.second, OTHER_MAC), true);
    assert.equal(t.world.counters.get('address-conflict'), 0);
  });

  it('however much the second claims, the first is asked once a second', () => {
    const t = new Conflict();
    for (let i = 0; i < 100; i++) {
      t.speak(t.second, OTHER_MAC);
      t.speak(t.first, GUEST_MAC);
    }
    assert.equal(t.asked(t.first), 1);
    assert.equal(t.holder, t.first.port);
  });
});
