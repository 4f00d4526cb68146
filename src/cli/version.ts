import { readFileSync } from 'node:fs';

/** From src/cli and dist/cli alike this is the package's own description. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
