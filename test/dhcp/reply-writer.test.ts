import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DhcpOptions } from '../../src/dhcp/dhcp-options.ts';
import { parseCidr } from '../../src/wire/cidr.ts';
import { DHCP_DISCOVER } from '../../src/wire/dhcpv4.ts';
import { hex, hexOf } from '../support/hostile-bytes.ts';
import { type Answer, type Asked, DhcpBench, GATEWAY, NETWORK } from './dhcp-bench.ts';

const EVERYTHING: Partial<DhcpOptions> = {
  domainName: 'dev.test',
  searchDomains: ['dev.test', 'corp.test'],
  ntpServers: [NETWORK + 1],
  dnsServers: [0x08080808, 0x01010101],
  routes: [{ destination: parseCidr('10.1.0.0/16')!, via: NETWORK + 9 }],
  customOptions: [{ code: 66, bytes: [0x61, 0x62] }],
};

/** 53, 54, 51, 58, 59: what every lease has. */
const PROTOCOL = [53, 54, 51, 58, 59];

function offer(options: Partial<DhcpOptions>, asked: Asked = {}, mtu = 1500): Answer {
  const t = new DhcpBench(options);
  t.mtu = mtu;
  const answer = t.ask({ ...asked, type: DHCP_DISCOVER });
  assert.ok(answer);
  return answer;
}

describe('an answer', () => {
  it('tells a client that sent no list all that there is', () => {
    const { codes, message } = offer({ ...EVERYTHING, reservations: [{ mac: 0x020000000005, name: 'web' }] });
    assert.deepEqual(codes, [...PROTOCOL, 1, 121, 3, 6, 15, 119, 28, 42, 66, 26, 12]);
    const { options } = message;
    const numbers = [1, 3, 28, 42, 51, 54, 58, 59].map((code) => options.u32(code));
    assert.deepEqual(numbers, [0xffffff00, GATEWAY, NETWORK + 255, NETWORK + 1, 3600, GATEWAY, 1800, 3150]);
    assert.deepEqual(
      [options.u16(26), options.text(15), options.text(12), options.text(66)],
      [1500, 'dev.test', 'web', 'ab'],
    );
    assert.equal(hexOf(options.copy(6)!), '0808080801010101');
  });

  it('tells one that sent a list what it asked for, in its order, each once, and the mask (RFC 2132 §9.8)', () => {
    assert.deepEqual(offer(EVERYTHING, { list: [42, 6, 6, 15, 200, 53, 51, 61, 82] }).codes, [
      ...PROTOCOL,
      1,
      42,
      6,
      15,
    ]);
    assert.deepEqual(offer({}, { list: [15, 119, 42, 12] }).codes, [...PROTOCOL, 1]);
  });

  it('has the MTU for a client that does not ask for it, where it is not 1500', () => {
    for (const mtu of [576, 1400, 9000, 65520]) {
      const { codes, message } = offer({}, { list: [1, 3, 6] }, mtu);
      assert.deepEqual(codes, [...PROTOCOL, 1, 3, 6, 26]);
      assert.equal(message.options.u16(26), mtu);
    }
    assert.deepEqual(offer({}, { list: [1, 3, 6] }, 1500).codes, [...PROTOCOL, 1, 3, 6]);
    assert.deepEqual(offer({}, { list: [26, 3] }, 1400).codes, [...PROTOCOL, 1, 26, 3]);
  });

  it('has the mask before the router (RFC 2132 §3.3), and classless routes too', () => {
    assert.deepEqual(offer(EVERYTHING, { list: [6, 3, 121, 1] }).codes, [...PROTOCOL, 6, 1, 121, 3]);
    assert.deepEqual(offer({}, { list: [6, 3, 121, 1] }).codes, [...PROTOCOL, 6, 1, 3]);
  });

  it('has the default route among the classless ones (RFC 3442), unless the configuration does', () => {
    const routes = (options: Partial<DhcpOptions>): string =>
      hexOf(offer(options, { list: [121] }).message.options.copy(121)!);
    assert.equal(routes(EVERYTHING), '100a01c0a84109' + '00c0a84101');
    const own = [{ destination: parseCidr('0.0.0.0/0')!, via: NETWORK + 9 }];
    assert.equal(routes({ routes: own }), '00c0a84109');
  });

  it('has custom options in place of its own, but for those that the protocol lives on', () => {
    const bytes = hex('0a0b0c0d');
    const codes = [1, 3, 6, 15, 26, 28, 42, 51, 52, 53, 54, 58, 59, 61, 82, 119, 121, 252];
    const customOptions = codes.map((code) => ({ code, bytes }));
    const { message, codes: sent } = offer({ ...EVERYTHING, customOptions });
    for (const code of [1, 3, 6, 15, 26, 28, 42, 119, 121, 252]) assert.deepEqual(message.options.copy(code), bytes);
    for (const code of [51, 54, 58, 59]) assert.notDeepEqual(message.options.copy(code), bytes);
    for (const code of [52, 61, 82]) assert.equal(sent.includes(code), false);
    assert.equal(message.messageType, 2);
    const empty = offer({ customOptions: [{ code: 80, bytes: [] }] }, { list: [80] });
    assert.deepEqual(empty.codes, [...PROTOCOL, 1, 80]);
  });

  it("has the MTU of the client's own port", () => {
    assert.equal(offer({}, { list: [26] }, 65_520).message.options.u16(26), 65_520);
  });
});

describe('the size of an answer', () => {
  const big = (code: number, length: number): { code: number; bytes: Uint8Array } => ({
    code,
    bytes: new Uint8Array(length).fill(code),
  });

  it('is that of a packet of 576 bytes unless the client takes more, and of what its port carries', () => {
    const options = { customOptions: Array.from({ length: 20 }, (_, i) => big(200 + i, 100)) };
    for (const asked of [{}, { maxBytes: 100 }]) {
      const { length } = offer(options, asked).bytes;
      assert.ok(length > 480 && length <= 548);
    }
    assert.ok(offer(options, { maxBytes: 1000 }).bytes.length > 860);
    assert.ok(offer(options, { maxBytes: 1000 }).bytes.length <= 972);
    assert.ok(offer(options, { maxBytes: 9000 }).bytes.length <= 1472);
    assert.ok(offer(options, { maxBytes: 9000 }, 600).bytes.length <= 572);
    assert.ok(offer({}).bytes.length === 300);
  });

  it('spills into file and sname (option 52), and then leaves out what was asked for last', () => {
    const options = { customOptions: [big(200, 210), big(201, 100), big(202, 60), big(203, 20)] };
    const t = new DhcpBench(options);
    const answer = t.ask({ type: DHCP_DISCOVER, list: [200, 201, 202, 203, 3, 6] });
    assert.equal(answer?.message.options.u8(52), 3);
    assert.deepEqual(answer?.message.options.copy(201), big(201, 100).bytes);
    assert.deepEqual(answer?.codes, [...PROTOCOL, 1, 200, 203, 3, 6, 52, 201, 202]);
    const fewer = new DhcpBench({ customOptions: [big(200, 210), big(201, 100), big(202, 100), big(203, 20)] });
    const short = fewer.ask({ type: DHCP_DISCOVER, list: [200, 201, 202, 203, 3] });
    assert.deepEqual(short?.codes, [...PROTOCOL, 1, 200, 203, 3, 52, 201]);
    assert.equal(fewer.counters.get('dhcp-option-left-out'), 1);
  });

  it('keeps room for the identifier and for what a relay added, which comes last even with overload', () => {
    const id = new Uint8Array(100).fill(7);
    const relay = new Uint8Array(100).fill(9);
    const options = { customOptions: [big(200, 200), big(201, 100), big(202, 40)] };
    const { message, bytes } = offer(options, { id, relay, giaddr: NETWORK + 200, list: [200, 201, 202, 3, 6] });
    assert.deepEqual([message.clientIdentifier, message.relayInformation], [id, relay]);
    assert.ok(bytes.length <= 548);
    assert.equal(message.options.u8(52), 1);
    const end = bytes.lastIndexOf(255);
    assert.deepEqual(bytes.subarray(end - 102, end), Uint8Array.of(82, 100, ...relay));
  });

  it('holds a value of more than 255 bytes in pieces (RFC 3396)', () => {
    const searchDomains = Array.from({ length: 12 }, (_, i) => `${'x'.repeat(20)}${i}.zone${i}.test`);
    const { message } = offer({ searchDomains }, { list: [119], maxBytes: 1500 });
    const pieces = [...message.options.code.subarray(0, message.options.count)].filter((code) => code === 119);
    assert.equal(pieces.length, 2);
    const value = message.options.copy(119)!;
    assert.ok(value.length > 255);
    assert.deepEqual(namesOf(value), searchDomains);
  });

  it('is right whatever is configured and asked for', () => {
    const custom = fc.record({ code: fc.integer({ min: 1, max: 254 }), bytes: fc.uint8Array({ maxLength: 400 }) });
    const asked = fc.record({
      list: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 60 }),
      maxBytes: fc.nat(0xffff),
      id: fc.uint8Array({ minLength: 2, maxLength: 255 }),
      relay: fc.uint8Array({ maxLength: 255 }),
    });
    fc.assert(
      fc.property(
        fc.array(custom, { maxLength: 12 }),
        asked,
        fc.integer({ min: 576, max: 65_520 }),
        (list, one, mtu) => {
          const { bytes, message, codes } = offer({ ...EVERYTHING, customOptions: list }, one, mtu);
          assert.ok(bytes.length <= Math.min(1500, mtu, Math.max(576, one.maxBytes)) - 28);
          assert.deepEqual(message.relayInformation ?? new Uint8Array(0), one.relay);
          for (const code of [53, 54, 51, 58, 59]) assert.ok(codes.includes(code));
          for (const { code, bytes: value } of new Map(list.map((option) => [option.code, option])).values()) {
            const sent = [50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 82].includes(code)
              ? undefined
              : message.options.copy(code);
            if (sent !== undefined) assert.deepEqual(sent, value);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** Names of a search list, pointers followed. */
function namesOf(value: Uint8Array): string[] {
  const names: string[] = [];
  let at = 0;
  while (at < value.length) {
    const labels: string[] = [];
    let read = at;
    let next = -1;
    while (value[read] !== 0) {
      const length = value[read]!;
      if (length >= 0xc0) {
        if (next < 0) next = read + 2;
        read = ((length & 0x3f) << 8) | value[read + 1]!;
        continue;
      }
      labels.push(Buffer.from(value.subarray(read + 1, read + 1 + length)).toString('latin1'));
      read += 1 + length;
    }
    names.push(labels.join('.'));
    at = next < 0 ? read + 1 : next;
  }
  return names;
}
