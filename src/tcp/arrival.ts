import { seqAdd, seqDiff, seqGt } from '../wire/seqnum.ts';
import { ACK, FIN, RST, SYN, type TcpHeader } from '../wire/tcp.ts';
import type { ArrivedSegment } from './arrived-segment.ts';
import type { Receiver } from './receiver.ts';
import type { Sender } from './sender.ts';
import type { TcpState } from './state.ts';

/** What is to be done with a segment. */
export type Arrival =
  | 'ignore'
  /** The guest did not hear our SYN-ACK. */
  | 'repeat-syn'
  /** Its RST is its own. */
  | 'reset'
  /** It may be somebody else's, or a duplicate of long ago: RFC 5961. */
  | 'challenge'
  /** Not in the window: it is told where we stand. */
  | 'tell'
  /** It acknowledges another SYN-ACK than ours: a RST. */
  | 'refuse'
  /** It acknowledges our SYN-ACK, and what follows is taken. */
  | 'establish'
  | 'take'
  /** The same, but what it acknowledges is known: only its text is looked at. */
  | 'take-text';

/** RFC 9293 §3.10.7.4 for a segment after the SYNs, in its order. `irs`: the number of the guest's SYN. */
export function judge(
  state: TcpState,
  { header, length }: ArrivedSegment,
  irs: number,
  receiver: Receiver,
  sender: Sender,
): Arrival {
  const { flags, sequence } = header;
  if (state === 'SYN-RECEIVED' && (flags & (SYN | ACK | RST)) === SYN && sequence === irs) return 'repeat-syn';
  if ((flags & RST) !== 0) {
    // RFC 5961 §3.2: only an exact match resets; elsewhere in the window it is challenged.
    if (receiver.isNext(sequence)) return 'reset';
    return receiver.acceptable(sequence, length) ? 'challenge' : 'ignore';
  }
  const span = length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
  if (!receiver.acceptable(sequence, span)) return 'tell';
  // RFC 5961 §4.2
  if ((flags & SYN) !== 0) return 'challenge';
  if ((flags & ACK) === 0) return 'ignore';
  return judgeAcknowledgment(state, header.acknowledgment, sender);
}

function judgeAcknowledgment(state: TcpState, acknowledgment: number, sender: Sender): Arrival {
  const { sndUna, sndNxt } = sender;
  if (state === 'SYN-RECEIVED') return acknowledgment === sndNxt ? 'establish' : 'refuse';
  // RFC 5961 §5.2: an acknowledgment of what was never sent, or older than any window, is challenged.
  if (seqGt(acknowledgment, sndNxt) || seqDiff(sndUna, acknowledgment) > sender.window.largest) return 'challenge';
  return seqDiff(acknowledgment, sndUna) < 0 ? 'take-text' : 'take';
}

/** What is to be done with a segment that may answer our SYN. */
export type Answer =
  | 'ignore'
  /** It acknowledges another SYN than ours: a RST. */
  | 'refuse'
  /** The guest does not want the connection. */
  | 'reset'
  /** Its SYN-ACK. */
  | 'accept';

/** RFC 9293 §3.10.7.3 for SYN-SENT, without simultaneous open. `iss`: the number of our SYN. */
export function judgeAnswer({ flags, acknowledgment }: TcpHeader, iss: number): Answer {
  if ((flags & ACK) === 0) return 'ignore';
  if (acknowledgment !== seqAdd(iss, 1)) return (flags & RST) === 0 ? 'refuse' : 'ignore';
  if ((flags & RST) !== 0) return 'reset';
  return (flags & SYN) !== 0 ? 'accept' : 'ignore';
}
