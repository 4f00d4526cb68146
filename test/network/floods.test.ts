import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FRAMES_PER_TURN } from '../../src/attachment/attachment-space.ts';
import { arpFrame, bytesOf, echoRequest, GATEWAY, ip, OUTSIDE } from '../support/core-world.ts';
import { packetFrame, udpFrame } from '../support/guest-frames.ts';
import { NetworkWorld } from '../support/network-world.ts';

const FLOODERS = 16;
const FRAMES = 2_000;

describe('sixteen guests that flood', () => {
  for (const kind of ['qemu', 'tap'] as const) {
    it(`by ${kind} have ${FRAMES_PER_TURN} frames each looked at in a turn, and another guest’s ping is answered in the next`, () => {
      const world = new NetworkWorld({
        arenaBytes: 256 * 2 ** 20,
        network: { limits: { guests: FLOODERS + 1, flows: 64, dialsInFlight: 32, udpMappings: 32 } },
      });
      world.host.blackHole(OUTSIDE);
      const flooders = Array.from({ length: FLOODERS }, (_, i) => {
        const who = { mac: 0x5a94_ef00_0010 + i, source: ip('192.168.65.16') + i };
        return { end: world[kind](`flooder ${i}`), who };
      });
      const modest = { end: world[kind]('modest'), mac: 0x5a94_ef00_0009, address: ip('192.168.65.9') };
      modest.end.send([arpFrame(1, modest.mac, modest.address, modest.address)]);
      world.settle();
      modest.end.take();
      for (const { end, who } of flooders) {
        end.send(
          Array.from({ length: FRAMES }, (_, i) =>
            udpFrame({ ...who, destination: OUTSIDE }, 5_000 + i, 9, bytesOf(10)),
          ),
        );
      }
      const framesOf = (): number[] => world.network.ports.map(({ rxFrames }) => rxFrames);
      const turn = (): number => {
        const before = framesOf();
        world.network.turn.run(world.nowMs++);
        return Math.max(...framesOf().map((frames, i) => frames - before[i]!));
      };
      assert.equal(turn(), FRAMES_PER_TURN);
      for (let i = 0; i < 3; i++) {
        const route = { mac: modest.mac, source: modest.address, destination: GATEWAY };
        modest.end.send([packetFrame(route, 1, echoRequest(1, i))]);
        assert.equal(turn(), FRAMES_PER_TURN);
        assert.equal(modest.end.take().length, 1, 'answered within the turn');
      }
      world.settle();
      assert.deepEqual(
        framesOf().slice(0, FLOODERS),
        flooders.map(() => FRAMES),
      );
    });
  }

  for (const kind of ['qemu', 'tap'] as const) {
    it(`by ${kind} and begin at the same time, with frames that cost a millisecond each, keep another guest waiting for a few frames of each`, () => {
      const world = new NetworkWorld({
        arenaBytes: 256 * 2 ** 20,
        network: { limits: { guests: FLOODERS + 1, flows: 64, dialsInFlight: 32, udpMappings: 32 } },
      });
      world.host.blackHole(OUTSIDE);
      const modest = { end: world[kind]('modest'), mac: 0x5a94_ef00_0009, address: ip('192.168.65.9') };
      modest.end.send([arpFrame(1, modest.mac, modest.address, modest.address)]);
      world.settle();
      modest.end.take();
      const frames = (): number => world.network.ports.reduce((sum, { rxFrames }) => sum + rxFrames, 0);
      const before = frames();
      const beganMs = world.nowMs;
      Object.defineProperty(world, 'nowMs', { get: () => beganMs + frames() - before });

      for (let i = 0; i < FLOODERS; i++) {
        const who = { mac: 0x5a94_ef00_0010 + i, source: ip('192.168.65.16') + i };
        world[kind](`flooder ${i}`).send(
          Array.from({ length: FRAMES }, (_, n) =>
            udpFrame({ ...who, destination: OUTSIDE }, 5_000 + n, 9, bytesOf(10)),
          ),
        );
      }
      const route = { mac: modest.mac, source: modest.address, destination: GATEWAY };
      modest.end.send([packetFrame(route, 1, echoRequest(1, 1))]);
      while (modest.end.take().length === 0) world.network.turn.run(world.nowMs);
      assert.ok(frames() - before <= 2 * FLOODERS, `answered after ${frames() - before} frames`);
    });
  }
});
