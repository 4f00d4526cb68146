/** A network thread that does nothing: its loop sleeps until it is stopped. */
import { parentPort } from 'node:worker_threads';
import { LoopControl, runLoop } from '../../../src/host/epoll/loop.ts';
import { Turn } from '../../../src/turn/turn.ts';
import { createEpollHarness } from './harness.ts';

const { poller, descriptors, close } = createEpollHarness();
const control = new LoopControl();
const clock = { nowMs: () => performance.now() };
parentPort?.postMessage({
  control: control.buffer,
  descriptors: descriptors.buffer,
  wakeDescriptor: poller.wakeDescriptor,
});
runLoop({ turn: new Turn(clock.nowMs()), clock, control, poller });
await close();
