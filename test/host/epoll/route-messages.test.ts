import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type RouteListener, readRouteMessages } from '../../../src/host/epoll/route-messages.ts';

const NLM_F_DUMP_INTR = 0x10;
const DONE = 3;
const NEW_LINK = 16;
const DELETED_LINK = 17;
const NEW_ADDRESS = 20;
const NEW_ROUTE = 24;

function recorder(): { heard: string[]; listener: RouteListener } {
  const heard: string[] = [];
  const listener: RouteListener = {
    address: (index, address) => heard.push(`address ${index} ${address.toString(16)}`),
    addressRemoved: () => heard.push('address removed'),
    link: (index, up) => heard.push(`link ${index} ${up ? 'up' : 'down'}`),
    route: () => heard.push('route'),
    listed: (made) => heard.push(`listed ${made}`),
  };
  return { heard, listener };
}

function message(type: number, body: readonly number[], flags = 0): Buffer {
  const bytes = Buffer.alloc(16 + body.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.set(body, 16);
  return bytes;
}

function read(bytes: Buffer): { heard: string[]; interrupted: boolean } {
  const { heard, listener } = recorder();
  const view = new DataView(Uint8Array.from(bytes).buffer);
  return { interrupted: readRouteMessages(view, 0, bytes.length, listener), heard };
}

/** struct ifinfomsg */
function link(index: number, flags: number, changed: number): number[] {
  return [0, 0, 1, 0, index, 0, 0, 0, flags, 0, 0, 0, changed, 0, 0, 0];
}

/** struct rtmsg */
function route(table: number): number[] {
  return [2, 24, 0, 0, table, 3, 0, 1, 0, 0, 0, 0];
}

describe('rtnetlink messages', () => {
  it('name a link’s own address, not the one of its other end', () => {
    const attributes = [8, 0, 1, 0, 10, 9, 0, 2, 8, 0, 2, 0, 10, 9, 0, 1];
    const { heard } = read(message(NEW_ADDRESS, [2, 24, 0, 0, 7, 0, 0, 0, ...attributes]));
    assert.deepEqual(heard, ['address 7 a090001']);
  });

  it('tell of links that went up, down or away, and not of what else happens to them', () => {
    const all = [
      message(NEW_LINK, link(3, 1, 1)),
      message(NEW_LINK, link(3, 0, 1)),
      message(NEW_LINK, link(4, 1, 0x40)),
      message(DELETED_LINK, link(5, 1, 0xff)),
    ];
    assert.deepEqual(read(Buffer.concat(all)).heard, ['link 3 up', 'link 3 down', 'link 5 down']);
  });

  it('tell of routes, but not of those that come with each address', () => {
    assert.deepEqual(read(Buffer.concat([message(NEW_ROUTE, route(254)), message(NEW_ROUTE, route(255))])).heard, [
      'route',
    ]);
  });

  it('say when a list was changed while it was made', () => {
    assert.deepEqual(read(message(DONE, [0, 0, 0, 0], NLM_F_DUMP_INTR)), { heard: ['listed true'], interrupted: true });
    assert.deepEqual(read(message(DONE, [0, 0, 0, 0])), { heard: ['listed true'], interrupted: false });
  });

  it('are never read beyond their end, whatever they hold', () => {
    const types = fc.constantFrom(2, DONE, NEW_LINK, DELETED_LINK, NEW_ADDRESS, 21, NEW_ROUTE, 25, 99);
    const any = fc.tuple(types, fc.array(fc.nat(255), { maxLength: 40 }), fc.nat(60));
    fc.assert(
      fc.property(fc.array(any, { maxLength: 4 }), (messages) => {
        const bytes = Buffer.concat(messages.map(([type, body, cut]) => message(type, body).subarray(0, 60 - cut)));
        read(bytes);
      }),
    );
  });
});
