const SIX_OCTETS = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i;

/** '5a:94:ef:e4:0c:ee' (or with dashes) as a 48-bit number; undefined for any other text. */
export function parseMac(text: string): number | undefined {
  if (!SIX_OCTETS.test(text)) return undefined;
  return Number.parseInt(text.replaceAll(/[:-]/g, ''), 16);
}

/** The address in lower case with colons. */
export function formatMac(mac: number): string {
  const digits = mac.toString(16).padStart(12, '0');
  return digits.replaceAll(/(..)(?!$)/g, '$1:');
}
