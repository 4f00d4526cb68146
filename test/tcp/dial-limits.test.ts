import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port } from '../../src/link/port.ts';
import { DialLimits } from '../../src/tcp/dial-limits.ts';

const port = (id: number): Port => ({ id }) as Port;

test('dials are bounded in all and to half for each guest, and one that ends makes room', () => {
  const limits = new DialLimits(4);
  const [greedy, other] = [port(1), port(2)];
  const flows = [{}, {}, {}, {}] as const;
  limits.begin(flows[0], greedy);
  assert.equal(limits.refusal(greedy), undefined);
  limits.begin(flows[1], greedy);
  assert.equal(limits.refusal(greedy), 'tcp-dial-limit-of-guest');
  assert.equal(limits.refusal(other), undefined);
  limits.begin(flows[2], other);
  limits.begin(flows[3], other);
  assert.equal(limits.refusal(port(3)), 'tcp-dial-limit');
  limits.end(flows[2]);
  limits.end(flows[2]);
  assert.equal(limits.inFlight, 3);
  assert.equal(limits.refusal(port(3)), undefined);
  assert.equal(limits.refusal(greedy), 'tcp-dial-limit-of-guest');
  for (const flow of flows) limits.end(flow);
  assert.equal(limits.inFlight, 0);
});
