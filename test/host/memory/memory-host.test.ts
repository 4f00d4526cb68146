import { describeHost } from '../suite/describe-host.ts';
import { createMemoryHarness } from './harness.ts';

describeHost('host/memory', createMemoryHarness);
