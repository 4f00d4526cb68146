/** The two ends of forwards as gvproxy's clients write them. */
export interface HostPort {
  /** Without brackets; '' for none. */
  readonly host: string;
  /** '' for none. */
  readonly port: string;
}

/** "192.168.127.2:80", "[::1]:80", ":80"; undefined for anything else. The port is any text without a colon. */
export function splitHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text);
  return match === null ? undefined : { host: match[1] ?? match[2] ?? '', port: match[3] ?? '' };
}

export function joinHostPort(host: string, port: number | string): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** 0 to 65,535; undefined for anything else. */
export function portNumber(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 0xffff ? Number(text) : undefined;
}
