import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterFins, next, type TcpEvent, type TcpState } from '../../src/tcp/state.ts';

const STATES: readonly TcpState[] = [
  'CLOSED',
  'SYN-HELD',
  'SYN-SENT',
  'SYN-RECEIVED',
  'ESTABLISHED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'CLOSE-WAIT',
  'CLOSING',
  'LAST-ACK',
  'TIME-WAIT',
  'DRAINING',
];
const EVENTS: readonly TcpEvent[] = [
  'syn-received',
  'opened',
  'host-connected',
  'syn-acknowledged',
  'fin-sent',
  'fin-received',
  'fin-acknowledged',
  'guest-left',
  'ended',
];

type Arc = readonly [from: TcpState, events: readonly TcpEvent[], to: TcpState];

/**
 * RFC 9293 figure 5, from top to bottom, as far as a connection of ours goes that way; LISTEN is the lack of a
 * connection.
 */
const FIGURE_5: readonly Arc[] = [
  // active OPEN: snd SYN
  ['CLOSED', ['opened'], 'SYN-SENT'],
  // LISTEN, rcv SYN: snd SYN,ACK; ours waits for the host in between
  ['CLOSED', ['syn-received', 'host-connected'], 'SYN-RECEIVED'],
  // CLOSE: delete TCB
  ['SYN-SENT', ['ended'], 'CLOSED'],
  // rcv SYN,ACK: snd ACK
  ['SYN-SENT', ['syn-acknowledged'], 'ESTABLISHED'],
  // rcv ACK of SYN
  ['SYN-RECEIVED', ['syn-acknowledged'], 'ESTABLISHED'],
  // CLOSE: snd FIN
  ['ESTABLISHED', ['fin-sent'], 'FIN-WAIT-1'],
  // rcv FIN: snd ACK
  ['ESTABLISHED', ['fin-received'], 'CLOSE-WAIT'],
  // rcv ACK of FIN
  ['FIN-WAIT-1', ['fin-acknowledged'], 'FIN-WAIT-2'],
  // rcv FIN: snd ACK
  ['FIN-WAIT-1', ['fin-received'], 'CLOSING'],
  ['FIN-WAIT-2', ['fin-received'], 'TIME-WAIT'],
  // CLOSE: snd FIN
  ['CLOSE-WAIT', ['fin-sent'], 'LAST-ACK'],
  // rcv ACK of FIN
  ['CLOSING', ['fin-acknowledged'], 'TIME-WAIT'],
  ['LAST-ACK', ['fin-acknowledged'], 'CLOSED'],
  // Timeout=2MSL: the ports are free again (TimeWaitTable)
  ['TIME-WAIT', ['ended'], 'CLOSED'],
  // note 2: FIN and the ACK of ours in one segment
  ['FIN-WAIT-1', ['fin-received', 'fin-acknowledged'], 'TIME-WAIT'],
];

/**
 * What the figure has and we have not: nothing of ours sends a FIN before the handshake is over, or takes a SYN for
 * ours.
 */
const NOT_OURS: readonly (readonly [TcpState, TcpEvent])[] = [
  ['SYN-RECEIVED', 'fin-sent'],
  ['SYN-SENT', 'syn-received'],
];

/** What we have and the figure has not. */
const OUR_OWN: readonly Arc[] = [
  ['CLOSED', ['syn-received'], 'SYN-HELD'],
  ['SYN-HELD', ['host-connected'], 'SYN-RECEIVED'],
  // RFC 9293 §3.10.7.4, RST: what was acknowledged to the guest still goes to the host.
  ['SYN-RECEIVED', ['guest-left'], 'DRAINING'],
  ['ESTABLISHED', ['guest-left'], 'DRAINING'],
  ['FIN-WAIT-1', ['guest-left'], 'DRAINING'],
  ['FIN-WAIT-2', ['guest-left'], 'DRAINING'],
  ['CLOSE-WAIT', ['guest-left'], 'DRAINING'],
  ['CLOSING', ['guest-left'], 'DRAINING'],
  ['LAST-ACK', ['guest-left'], 'DRAINING'],
  ['TIME-WAIT', ['guest-left'], 'DRAINING'],
  // note 3 (ABORT), and whatever else leaves nothing on either side
  ['SYN-HELD', ['ended'], 'CLOSED'],
  ['SYN-RECEIVED', ['ended'], 'CLOSED'],
  ['ESTABLISHED', ['ended'], 'CLOSED'],
  ['FIN-WAIT-1', ['ended'], 'CLOSED'],
  ['FIN-WAIT-2', ['ended'], 'CLOSED'],
  ['CLOSE-WAIT', ['ended'], 'CLOSED'],
  ['CLOSING', ['ended'], 'CLOSED'],
  ['LAST-ACK', ['ended'], 'CLOSED'],
  ['DRAINING', ['ended'], 'CLOSED'],
];

test('every arc of RFC 9293 figure 5 is in the table, and so are our own two states', () => {
  for (const [from, events, to] of [...FIGURE_5, ...OUR_OWN]) {
    let state = from;
    for (const event of events) {
      const after = next(state, event);
      assert.notEqual(after, 'no-transition', `${state} does not know ${event}`);
      if (after !== 'no-transition') state = after;
    }
    assert.equal(state, to, `${from} after ${events.join(', ')}`);
  }
});

test('an event that a state does not know has a name for an answer', () => {
  const known = new Set(
    [...FIGURE_5, ...OUR_OWN].filter(([, { length }]) => length === 1).map(([s, [e]]) => `${s} ${e}`),
  );
  for (const [state, event] of NOT_OURS) assert.ok(!known.has(`${state} ${event}`));
  let unknown = 0;
  for (const state of STATES) {
    for (const event of EVENTS) {
      if (known.has(`${state} ${event}`)) continue;
      assert.equal(next(state, event), 'no-transition', `${state} ${event}`);
      unknown++;
    }
  }
  assert.equal(unknown + known.size, STATES.length * EVENTS.length);
});

test('the state follows from the FINs, in whatever order they are looked at', () => {
  const cases: readonly (readonly [TcpState, boolean, boolean, boolean, TcpState])[] = [
    ['ESTABLISHED', false, false, false, 'ESTABLISHED'],
    ['ESTABLISHED', true, false, false, 'CLOSE-WAIT'],
    ['ESTABLISHED', false, true, false, 'FIN-WAIT-1'],
    ['ESTABLISHED', true, true, false, 'LAST-ACK'],
    ['CLOSE-WAIT', true, true, true, 'CLOSED'],
    ['FIN-WAIT-1', false, true, false, 'FIN-WAIT-1'],
    ['FIN-WAIT-1', false, true, true, 'FIN-WAIT-2'],
    ['FIN-WAIT-1', true, true, false, 'CLOSING'],
    ['FIN-WAIT-1', true, true, true, 'TIME-WAIT'],
    ['FIN-WAIT-2', true, true, true, 'TIME-WAIT'],
    ['CLOSING', true, true, true, 'TIME-WAIT'],
    ['LAST-ACK', true, true, false, 'LAST-ACK'],
    ['LAST-ACK', true, true, true, 'CLOSED'],
    ['SYN-HELD', false, false, false, 'SYN-HELD'],
    ['DRAINING', true, true, true, 'DRAINING'],
    ['CLOSED', true, true, true, 'CLOSED'],
  ];
  for (const [from, received, sent, acknowledged, to] of cases) {
    assert.equal(afterFins(from, received, sent, acknowledged), to, `${from} ${received} ${sent} ${acknowledged}`);
  }
});
