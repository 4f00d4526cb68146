import assert from 'node:assert/strict';
import fc from 'fast-check';

/** '0800 4500' and the like as bytes. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replaceAll(/\s+/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

/** Bytes as digits, for comparisons that read well when they fail. */
export function hexOf(bytes: Uint8Array, at = 0, length: number = bytes.length - at): string {
  return Buffer.from(bytes.subarray(at, at + length)).toString('hex');
}

const AT = 40;
const BEHIND = 80;

/**
 * Runs `parse` on arbitrary bytes and on mutilated copies of `seeds`, each time twice: with zeros and with 0xff around
 * [at, end). What it returns must not differ, so it read nothing outside; and it must not throw.
 */
export function parsesHostileBytes(
  seeds: readonly Uint8Array[],
  parse: (bytes: Uint8Array, at: number, end: number) => unknown,
): void {
  const mutilated = fc
    .record({
      seed: fc.constantFrom(...seeds),
      keep: fc.nat({ max: 700 }),
      changes: fc.array(fc.tuple(fc.nat({ max: 699 }), fc.nat({ max: 255 })), { maxLength: 4 }),
    })
    .map(({ seed, keep, changes }) => {
      const copy = seed.slice(0, keep % (seed.length + 1));
      for (const [where, value] of changes) if (copy.length > 0) copy[where % copy.length] = value;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 90 }), mutilated), (content) => {
      const results = [0x00, 0xff].map((filler) => {
        const bytes = new Uint8Array(AT + content.length + BEHIND).fill(filler);
        bytes.set(content, AT);
        return structuredClone(parse(bytes, AT, AT + content.length));
      });
      assert.deepEqual(results[0], results[1]);
    }),
    { numRuns: 500 },
  );
}
