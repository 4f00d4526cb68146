/**
 * The states of a connection and what follows from each, as a table: RFC 9293 §3.3.2, figure 5, with two states of our
 * own.
 *
 * SYN-HELD: the guest's SYN is kept while the host connects; nothing is answered yet. DRAINING: the guest is through
 * with TCP, but what it sent still goes to a slow host. LISTEN and TIME-WAIT hold no connection (Tcp, TimeWaitTable):
 * the one is missing, the other says where the ports of one that ended go.
 */
export type TcpState =
  | 'SYN-HELD'
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSE-WAIT'
  | 'CLOSING'
  | 'LAST-ACK'
  | 'TIME-WAIT'
  | 'DRAINING'
  | 'CLOSED';

/** What moves a connection from one state to another. */
export type TcpEvent =
  /** The guest's SYN came. */
  | 'syn-received'
  /** The host side opens. */
  | 'opened'
  /** The host has connected: the guest's SYN is answered. */
  | 'host-connected'
  /** The guest acknowledged our SYN. */
  | 'syn-acknowledged'
  /** The host's side is over, and our FIN is out. */
  | 'fin-sent'
  /** The guest's FIN came in order. */
  | 'fin-received'
  /** The guest acknowledged our FIN. */
  | 'fin-acknowledged'
  /** The guest is through with it, by a RST or both FINs, and the host is not. */
  | 'guest-left'
  /** Nothing is left of it. */
  | 'ended';

/** The answer for an event that a state does not know: the state stays. */
export type NoTransition = 'no-transition';

const TABLE: { readonly [State in TcpState]: { readonly [Event in TcpEvent]?: TcpState } } = {
  CLOSED: { 'syn-received': 'SYN-HELD', opened: 'SYN-SENT' },
  'SYN-HELD': { 'host-connected': 'SYN-RECEIVED', ended: 'CLOSED' },
  'SYN-SENT': { 'syn-acknowledged': 'ESTABLISHED', ended: 'CLOSED' },
  'SYN-RECEIVED': { 'syn-acknowledged': 'ESTABLISHED', 'guest-left': 'DRAINING', ended: 'CLOSED' },
  ESTABLISHED: { 'fin-sent': 'FIN-WAIT-1', 'fin-received': 'CLOSE-WAIT', 'guest-left': 'DRAINING', ended: 'CLOSED' },
  'FIN-WAIT-1': {
    'fin-received': 'CLOSING',
    'fin-acknowledged': 'FIN-WAIT-2',
    'guest-left': 'DRAINING',
    ended: 'CLOSED',
  },
  'FIN-WAIT-2': { 'fin-received': 'TIME-WAIT', 'guest-left': 'DRAINING', ended: 'CLOSED' },
  'CLOSE-WAIT': { 'fin-sent': 'LAST-ACK', 'guest-left': 'DRAINING', ended: 'CLOSED' },
  CLOSING: { 'fin-acknowledged': 'TIME-WAIT', 'guest-left': 'DRAINING', ended: 'CLOSED' },
  'LAST-ACK': { 'fin-acknowledged': 'CLOSED', 'guest-left': 'DRAINING', ended: 'CLOSED' },
  'TIME-WAIT': { 'guest-left': 'DRAINING', ended: 'CLOSED' },
  DRAINING: { ended: 'CLOSED' },
};

/** The state that follows from `event`. */
export function next(state: TcpState, event: TcpEvent): TcpState | NoTransition {
  return TABLE[state][event] ?? 'no-transition';
}

/**
 * The state that follows from which FINs were received, sent and acknowledged (RFC 9293 §3.6). The guest's is looked at
 * first: where both came at once, ours answers it. CLOSED and TIME-WAIT mean that both directions are over.
 */
export function afterFins(state: TcpState, received: boolean, sent: boolean, acknowledged: boolean): TcpState {
  let after = state;
  if (received) after = step(after, 'fin-received');
  if (sent) after = step(after, 'fin-sent');
  if (acknowledged) after = step(after, 'fin-acknowledged');
  return after;
}

function step(state: TcpState, event: TcpEvent): TcpState {
  const after = next(state, event);
  return after === 'no-transition' ? state : after;
}

/** Our SYN is out, and its acknowledgment is awaited. */
export function isOpening(state: TcpState): boolean {
  return state === 'SYN-SENT' || state === 'SYN-RECEIVED';
}

/** The guest is through with it. */
export function isOver(state: TcpState): boolean {
  return state === 'CLOSED' || state === 'DRAINING';
}
