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

/** Answers any question. Throws and rejects only by a defect. */
export type Ask = (query: DnsQuery) => Answer | Promise<Answer>;

/** Where answers come from. Adding a source takes its file and a line of `dnsSources`. */
export interface Source {
  /** The step that a trace records when this source has no answer. */
  readonly passed?: TraceStep;
  /**
   * Undefined leaves the question to the next source. `rest` asks the sources after this one. Throws and rejects only
   * by a defect.
   */
  answer(query: DnsQuery, rest: Ask): Answer | Promise<Answer> | undefined;
}

/** Asks the sources in order until one answers. The last one must. */
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
