import { describeHost } from '../suite/describe-host.ts';
import { createEpollHarness } from './harness.ts';

describeHost('the epoll engine', createEpollHarness, { file: import.meta.filename });
