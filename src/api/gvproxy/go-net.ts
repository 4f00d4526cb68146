/** The texts with which Go's net, net/url and strconv refuse, as far as gvproxy hands them on. */

export interface HostPort {
  readonly host: string;
  readonly port: string;
}

/** net.SplitHostPort; its error's text for what is none. */
export function splitHostPort(text: string): HostPort | string {
  const refuse = (why: string): string => `address ${text}: ${why}`;
  const colon = text.lastIndexOf(':');
  if (colon < 0) return refuse('missing port in address');
  let host: string;
  let rest = 0;
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    if (end < 0) return refuse("missing ']' in address");
    if (end + 1 === text.length) return refuse('missing port in address');
    if (end + 1 !== colon)
      return refuse(text[end + 1] === ':' ? 'too many colons in address' : 'missing port in address');
    host = text.slice(1, end);
    rest = end + 1;
    if (text.indexOf('[', 1) >= 0) return refuse("unexpected '[' in address");
  } else {
    host = text.slice(0, colon);
    if (host.includes(':')) return refuse('too many colons in address');
    if (text.includes('[')) return refuse("unexpected '[' in address");
  }
  if (text.indexOf(']', rest) >= 0) return refuse("unexpected ']' in address");
  return { host, port: text.slice(colon + 1) };
}

/** net.JoinHostPort. */
export function joinHostPort(host: string, port: number | string): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** strconv.ParseUint(text, 10, 16); its error's text for what is none. */
export function parseUint16(text: string): number | string {
  if (!/^\d+$/.test(text)) return `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
  const value = Number(text);
  return value > 0xffff ? `strconv.ParseUint: parsing ${JSON.stringify(text)}: value out of range` : value;
}

/** strconv.Atoi; its error's text for what is none. */
export function atoi(text: string): number | string {
  if (!/^[+-]?\d+$/.test(text)) return `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
  // −0 is not Go's.
  const value = BigInt(text.replace(/^\+/, ''));
  const fits = value <= 0x7fff_ffff_ffff_ffffn && value >= -0x8000_0000_0000_0000n;
  return fits ? Number(value) : `strconv.Atoi: parsing ${JSON.stringify(text)}: value out of range`;
}

export interface RemoteUrl {
  readonly scheme: string;
  readonly user: string;
  readonly host: string;
  readonly port: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** url.Parse, as far as forwards need it; its error's text for what is none. */
export function parseUrl(text: string): RemoteUrl | string {
  const refuse = (why: string): string => `parse ${JSON.stringify(text)}: ${why}`;
  for (const char of text)
    if (char < ' ' || char === '\x7f') return refuse('net/url: invalid control character in URL');
  if (text.startsWith(':')) return refuse('missing protocol scheme');
  const match = /^(?:([A-Za-z][A-Za-z\d+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/.exec(text);
  const [, scheme = '', authority = '', path = '', query = ''] = match ?? [];
  const at = authority.lastIndexOf('@');
  const place = authority.slice(at + 1);
  const split = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(place);
  const port = split?.[2] ?? '';
  if (split === null || !/^\d*$/.test(port))
    return refuse(`invalid port ${JSON.stringify(place.slice(place.indexOf(':')))} after host`);
  const decoded = decode(path);
  const user = decode(at < 0 ? '' : (authority.slice(0, at).split(':', 1)[0] ?? ''));
  if (decoded === undefined || user === undefined) return refuse('invalid URL escape');
  return {
    scheme: scheme.toLowerCase(),
    user,
    host: (split[1] ?? '').replace(/^\[|\]$/g, ''),
    port,
    path: decoded,
    query: new URLSearchParams(query),
  };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
