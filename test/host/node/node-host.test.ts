import { describeHost } from '../suite/describe-host.ts';
import { createNodeHarness } from './harness.ts';

describeHost('host/node', createNodeHarness, { file: import.meta.filename });
