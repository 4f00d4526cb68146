/** What a handler of Go's net/http leaves in its writer. */
export interface GoAnswer {
  readonly status: number;
  readonly body: string;
}

export const TEXT_TYPE = 'text/plain; charset=utf-8';

/** http.Error: the text and a newline. */
export function goError(status: number, text: string): GoAnswer {
  return { status, body: `${text}\n` };
}

export const OK: GoAnswer = { status: 200, body: '' };
export const POST_ONLY: GoAnswer = goError(400, 'post only');
export const PAGE_NOT_FOUND: GoAnswer = goError(404, '404 page not found');

/** Headers as Go sends them: nothing is sniffed in an empty body, and errors say that they are not to be sniffed. */
export function goHeaders({ status, body }: GoAnswer): Record<string, string> {
  if (body === '') return {};
  return { 'content-type': TEXT_TYPE, ...(status >= 400 && { 'x-content-type-options': 'nosniff' }) };
}

/** As Go writes JSON: with a newline at the end. */
export function goJson(value: unknown): GoAnswer {
  return { status: 200, body: `${JSON.stringify(value)}\n` };
}
