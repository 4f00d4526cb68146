import { describeHost } from '../suite/describe-host.ts';
import { createEpollHarness } from './harness.ts';

describeHost(
  'the epoll engine without SO_PEEK_OFF',
  (options) => createEpollHarness({ ...options, peekOffset: false }),
  { file: import.meta.filename },
);
