import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_MAX_OPTIONS,
  DHCP_MIN_BYTES,
  DHCP_OFFER,
  DHCP_REQUEST,
  type DhcpFields,
  DhcpMessage,
  OPTION_DOMAIN_NAME,
  OPTION_DOMAIN_SEARCH,
  OPTION_HOST_NAME,
  OPTION_LEASE_SECONDS,
  OPTION_MESSAGE_TYPE,
  OPTION_ROUTER,
  parseDhcp,
} from '../../src/wire/dhcpv4.ts';
import { DhcpWriter } from '../../src/wire/dhcpv4-writer.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

const FIXED = hex(
  `01 01 06 00 3903f326 0004 8000 00000000 00000000 00000000 00000000 5a94efe40cee ${'00'.repeat(10 + 192)}`,
);

function message(options: string, sname = '', file = ''): Uint8Array {
  const bytes = new Uint8Array(DHCP_MIN_BYTES + hex(options).length);
  bytes.set(FIXED);
  bytes.set(hex(sname), 44);
  bytes.set(hex(file), 108);
  bytes.set(hex('63825363'), 236);
  bytes.set(hex(options), DHCP_MIN_BYTES);
  return bytes;
}

/** A client's request with the options that busybox udhcpc sends. */
const REQUEST = message(
  '350103 3d07015a94efe40cee 3204c0a84103 3604c0a84101 39020240 3707 01031c06 0f3342 0c0475766d00 3c04 75646863 ff',
);

function parsed(bytes: Uint8Array): { fault: string | undefined; message: DhcpMessage } {
  const into = new DhcpMessage();
  return { fault: parseDhcp(bytes, 0, bytes.length, into), message: into };
}

const FIELDS: DhcpFields = {
  operation: BOOT_REPLY,
  hops: 0,
  xid: 0x3903f326,
  secs: 0,
  broadcast: true,
  ciaddr: 0,
  yiaddr: 0xc0a84103,
  siaddr: 0xc0a84101,
  giaddr: 0,
  chaddr: 0x5a94efe40cee,
};

test("a client's request is understood field by field", () => {
  const { fault, message: request } = parsed(REQUEST);
  assert.equal(fault, undefined);
  assert.equal(request.operation, BOOT_REQUEST);
  assert.equal(request.xid, 0x3903f326);
  assert.equal(request.secs, 4);
  assert.equal(request.broadcast, true);
  assert.equal(request.chaddr, 0x5a94efe40cee);
  assert.equal(request.messageType, DHCP_REQUEST);
  assert.equal(request.requestedAddress, 0xc0a84103);
  assert.equal(request.serverIdentifier, 0xc0a84101);
  assert.equal(request.maxMessageBytes, 576);
  assert.equal(request.hostName, 'uvm');
  assert.equal(hexOf(request.clientIdentifier!), '015a94efe40cee');
  assert.deepEqual([...request.parameterRequestList!], [1, 3, 28, 6, 15, 51, 66]);
  assert.equal(request.leaseSeconds, undefined);
});

test('an answer is written byte for byte and padded to a BOOTP message', () => {
  const bytes = new Uint8Array(600).fill(0xee);
  const writer = new DhcpWriter(bytes);
  writer.start(10, 548, FIELDS);
  writer.putU8(OPTION_MESSAGE_TYPE, DHCP_OFFER);
  writer.putU32(OPTION_LEASE_SECONDS, 3600);
  writer.putU32(OPTION_ROUTER, 0xc0a84101);
  writer.putText(OPTION_DOMAIN_NAME, 'lan');
  assert.equal(writer.finish(), 300);
  const options = '350102 330400000e10 0304c0a84101 0f036c616e ff'.replaceAll(' ', '');
  const head = '02010600 3903f326 0000 8000 00000000 c0a84103 c0a84101 00000000 5a94efe40cee'.replaceAll(' ', '');
  const zeros = '00'.repeat(10 + 192);
  assert.equal(hexOf(bytes, 10, 300), `${head}${zeros}63825363${options}`.padEnd(600, '0'));
  assert.equal(bytes[9], 0xee);
});

test('options in file and sname are read when option 52 says so, in that order', () => {
  const sname = '0c01 63 ff';
  const file = '0c01 62 ff';
  assert.equal(parsed(message('0c0161 340103 ff', sname, file)).message.hostName, 'abc');
  assert.equal(parsed(message('0c0161 340101 ff', sname, file)).message.hostName, 'ab');
  assert.equal(parsed(message('0c0161 340102 ff', sname, file)).message.hostName, 'ac');
  assert.equal(parsed(message('0c0161 ff', sname, file)).message.hostName, 'a');
});

test('what does not fit goes into file and sname and is read back', () => {
  const bytes = new Uint8Array(300);
  const writer = new DhcpWriter(bytes);
  writer.start(0, 300, FIELDS);
  const names = ['a'.repeat(50), 'b'.repeat(120), 'c'.repeat(60)];
  assert.ok(writer.putText(OPTION_HOST_NAME, names[0]!));
  assert.ok(writer.putText(OPTION_DOMAIN_NAME, names[1]!));
  assert.ok(writer.putText(67, names[2]!));
  assert.equal(writer.putText(66, 'x'.repeat(10)), false);
  const { fault, message: read } = parsed(bytes.subarray(0, writer.finish()));
  assert.equal(fault, undefined);
  assert.deepEqual(
    [OPTION_HOST_NAME, OPTION_DOMAIN_NAME, 67].map((code) => read.options.text(code)),
    names,
  );
  assert.equal(read.options.has(66), false);
});

test('a value of more than 255 bytes is split and joined again (RFC 3396)', () => {
  const bytes = new Uint8Array(1400);
  const writer = new DhcpWriter(bytes);
  const value = new Uint8Array(700).map((_, i) => i);
  writer.start(0, 1400, FIELDS);
  assert.ok(writer.putBytes(OPTION_DOMAIN_SEARCH, value));
  assert.equal(writer.putBytes(OPTION_DOMAIN_SEARCH, value), false);
  const { message: read } = parsed(bytes.subarray(0, writer.finish()));
  assert.deepEqual(read.options.copy(OPTION_DOMAIN_SEARCH), value);
});

test('every list of options that fits is read back as written', () => {
  const option = fc.tuple(fc.integer({ min: 60, max: 254 }), fc.uint8Array({ maxLength: 80 }));
  fc.assert(
    fc.property(fc.uniqueArray(option, { maxLength: 12, selector: ([code]) => code }), (options) => {
      const bytes = new Uint8Array(548);
      const writer = new DhcpWriter(bytes);
      writer.start(0, 548, FIELDS);
      const taken = options.filter(([code, value]) => writer.putBytes(code, value));
      const { fault, message: read } = parsed(bytes.subarray(0, writer.finish()));
      assert.equal(fault, undefined);
      for (const [code, value] of taken) assert.deepEqual(read.options.copy(code), value);
      for (const [name, value] of Object.entries(FIELDS)) assert.equal(read[name as keyof DhcpFields], value, name);
    }),
  );
});

test('an option of another length has no value', () => {
  assert.equal(parsed(message('3503010203 ff')).message.messageType, 0);
});

test('each fault has its word; a missing END is forgiven', () => {
  assert.equal(parsed(REQUEST.subarray(0, 239)).fault, 'dhcp-truncated');
  const changed = (at: number, value: number): Uint8Array => {
    const copy = REQUEST.slice();
    copy[at] = value;
    return copy;
  };
  assert.equal(parsed(changed(0, 3)).fault, 'dhcp-bad-operation');
  assert.equal(parsed(changed(1, 6)).fault, 'dhcp-bad-hardware');
  assert.equal(parsed(changed(236, 0)).fault, 'dhcp-bad-cookie');
  assert.equal(parsed(message('0c05 6161')).fault, 'dhcp-bad-options');
  assert.equal(parsed(message('0c')).fault, 'dhcp-bad-options');
  assert.equal(parsed(message('350101')).fault, undefined);
  assert.equal(parsed(message('5000'.repeat(DHCP_MAX_OPTIONS))).fault, undefined);
  assert.equal(parsed(message('5000'.repeat(DHCP_MAX_OPTIONS + 1))).fault, 'dhcp-too-many-options');
});

test('never throws and never reads past the end', () => {
  const seeds = [REQUEST, message('340103 0c0161 ff', '0c0163ff', '0c0162ff')];
  parsesHostileBytes(seeds, (bytes, at, end) => {
    const into = new DhcpMessage();
    const fault = parseDhcp(bytes, at, end, into);
    const { options, ...fields } = into;
    const codes = [...options.code.subarray(0, options.count)];
    return [fault, fields, codes.map((code) => options.copy(code)), into.hostName, into.leaseSeconds];
  });
});
