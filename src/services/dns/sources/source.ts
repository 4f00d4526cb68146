import type { DnsQuery } from '../dns-query.ts';
import type { SourceName, TraceStep } from '../lookup-trace.ts';

/** One answer, and where it comes from. */
export interface Answer {
  /**
   * A whole message that answers the question, not yet fitted to the asker: id, case of the question, OPT record, AD
   * bit and length are anybody's, and the front fits them (`fitAnswer`). Whoever gets it owns it.
   */
  readonly message: Uint8Array;
  /** All twelve bits. */
  readonly rcode: number;
  readonly source: SourceName;
  /** A sentence for a person. */
  readonly why: string;
  /** How long an answer of our own may be kept; undefined: the TTLs of its records tell. */
  readonly lifeSeconds?: number | undefined;
}

/** Whatever answers every question. Throws and rejects only by a defect. */
export type Ask = (query: DnsQuery) => Answer | Promise<Answer>;

/** One place where answers come from. Adding one takes its file and a line of `dnsSources`. */
export interface Source {
  /** What a trace tells when this source leaves a question to the next one. */
  readonly passed?: TraceStep;
  /**
   * Nothing when the question is not this source's. `rest` asks the sources after it. Throws and rejects only by a
   * defect.
   */
  answer(query: DnsQuery, rest: Ask): Answer | Promise<Answer> | undefined;
}

/** Asks the sources in their order; the first that has an answer gives it, and the last one must. */
export function chain(sources: readonly Source[]): Ask {
  const nobody: Ask = () => {
    throw new Error('no source answers');
  };
  return sources.reduceRight<Ask>(
    (rest, source) => (query) => source.answer(query, rest) ?? pass(source, query, rest),
    nobody,
  );
}

function pass({ passed }: Source, query: DnsQuery, rest: Ask): Answer | Promise<Answer> {
  if (passed !== undefined) query.trace?.step(passed);
  return rest(query);
}
