/**
 * The demo's checklist: what is checked, what a report of one check is, and how reports are shown. Who runs the checks
 * is a `ChecklistGuest`: a namespace, or (where there is no tun device) a guest in memory.
 */

/** What the guest needs to know about the servers that the demo made on this computer. */
export interface ChecklistPlan {
  /** Where reports go: a unix socket, JSON lines. */
  readonly reportPath: string;
  readonly gateway: string;
  readonly hostAddress: string;
  /** The guest's own. */
  readonly address: string;
  readonly mac: number;
  /** Serves `downloadBytes` bytes with the checksum `sha256`. */
  readonly httpPort: number;
  readonly downloadBytes: number;
  readonly sha256: string;
  /** Nobody listens there. */
  readonly refusedPort: number;
  /** Sends every datagram back. */
  readonly udpPort: number;
}

/** In the order in which they run: each needs what the ones before it show. */
export const CHECKS = ['lease', 'name lookup', 'download', 'refused port', 'ping', 'UDP echo'] as const;
export type CheckName = (typeof CHECKS)[number];

export interface CheckReport {
  readonly name: CheckName;
  readonly outcome: 'ok' | 'failed' | 'skipped';
  /** What was seen, for people. */
  readonly detail: string;
  readonly tookMs: number;
  /** Only where bytes were moved. */
  readonly bytesPerSecond?: number;
}

export interface ChecklistGuest {
  /** For people: 'a network namespace'. */
  readonly kind: string;
  /** Why it is not the usual one; absent when it is. */
  readonly reason?: string;
  /** Runs all checks; `report` is called after each. Settles when the guest has ended. */
  run(report: (report: CheckReport) => void): Promise<void>;
}

export interface ChecklistOutput {
  begin(name: CheckName): void;
  end(report: CheckReport): void;
}

/** Runs the checklist; a check that was never reported counts as failed. Whether all is well. */
export async function runChecklist(guest: ChecklistGuest, output: ChecklistOutput): Promise<boolean> {
  const missing = [...CHECKS];
  let well = true;
  const begin = (): void => {
    if (missing[0] !== undefined) output.begin(missing[0]);
  };
  begin();
  await guest.run((report) => {
    const index = missing.indexOf(report.name);
    if (index < 0) return;
    missing.splice(index, 1);
    if (report.outcome === 'failed') well = false;
    output.end(report);
    begin();
  });
  for (const name of missing) {
    well = false;
    output.end({ name, outcome: 'failed', detail: 'the guest ended before', tookMs: 0 });
  }
  return well;
}

/** One line a check; on a terminal the running one is shown too. */
export function textOutput(stream: { readonly isTTY?: boolean; write(text: string): unknown }): ChecklistOutput {
  const terminal = stream.isTTY === true;
  return {
    begin: (name) => {
      if (terminal) stream.write(`  …      ${name}`);
    },
    end: (report) => {
      if (terminal) stream.write('\r\x1b[K');
      stream.write(
        `  ${report.outcome.padEnd(7)}${report.name.padEnd(14)}${duration(report.tookMs).padStart(9)}  ${facts(report)}\n`,
      );
    },
  };
}

export function jsonOutput(stream: { write(text: string): unknown }): ChecklistOutput {
  return {
    begin: () => {},
    end: (report) => void stream.write(`${JSON.stringify({ event: 'check', ...report })}\n`),
  };
}

function facts({ detail, bytesPerSecond }: CheckReport): string {
  if (bytesPerSecond === undefined) return detail;
  return `${detail}, ${((bytesPerSecond * 8) / 1e9).toFixed(2)} Gbit/s`;
}

function duration(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
