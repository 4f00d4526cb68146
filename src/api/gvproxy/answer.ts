/** What a client of gvproxy's API is answered: text, as its clients read it. */
export interface TextAnswer {
  readonly status: number;
  readonly body: string;
}

/** A request that is refused; `message` is for the client. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The result of a handler: nothing, or the JSON to send. */
export function answered(value: unknown): TextAnswer {
  return { status: 200, body: value === undefined ? '' : `${JSON.stringify(value)}\n` };
}

/** What a handler threw. An error that is no Refusal is a defect, and thrown on. */
export function refused(error: unknown): TextAnswer {
  if (!(error instanceof Refusal)) throw error;
  return { status: error.status, body: `${error.message}\n` };
}

/** An error is not to be taken for a page, whatever names of the client it repeats. */
export function headersOf({ status, body }: TextAnswer): Record<string, string> {
  if (body === '') return {};
  const type = { 'content-type': 'text/plain; charset=utf-8' };
  return status >= 400 ? { ...type, 'x-content-type-options': 'nosniff' } : type;
}

export function notFound(): Refusal {
  return new Refusal(404, '404 page not found');
}

/** Only POST changes anything. */
export function assertPost(method: string | undefined): void {
  if (method !== 'POST') throw new Refusal(400, 'post only');
}
