import type { FastifyInstance } from 'fastify';
import { invalidRequest } from './problem.ts';

/** Valid bodies have fewer than ten levels. Some thousand would exhaust the stack of a recursive reader. */
const MAX_DEPTH = 64;
const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Refuses JSON bodies that are nested deeper than `MAX_DEPTH` before they reach recursive code. */
export function boundJsonDepth(scope: FastifyInstance): void {
  const parse = scope.getDefaultJsonParser('error', 'error');
  scope.removeContentTypeParser('application/json');
  scope.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = String(body);
    // It came in pieces, of which there were none.
    if (text === '') done(null, undefined);
    else if (isTooDeep(text)) done(invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`));
    else void parse(request, text, done);
  });
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth--;
  }
  return false;
}
