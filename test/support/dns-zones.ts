import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Zones for a real nameserver of the tests: one of each type, plain, signed, and signed wrongly. */

const APEX = `
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 120
@ NS ns
@ MX 10 mail
@ MX 20 backup.mail
@ CAA 0 issue "ca.example"
ns A 192.0.2.53
mail A 192.0.2.25
`;

/** Everything that a program may ask for, below world.example. */
export const WORLD = `${APEX}
one A 192.0.2.1
one AAAA 2001:db8::1
one HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1
four A 192.0.2.4
six AAAA 2001:db8::6
many A 192.0.2.11
many A 192.0.2.12
many A 192.0.2.13
www CNAME alias
alias CNAME last.chain
last.chain CNAME one
dangling CNAME nowhere
text TXT "v=spf1 -all" "a second string; with \\"quotes\\""
_sip._tcp SRV 10 60 5060 one
_sip._tcp SRV 20 0 5061 four
_443._tcp.one TYPE52 \\# 35 0301019997969594939291908f8e8d8c8b8a898887868584838281807f7e7d7c7b7a00
web A 192.168.65.254
big1300 TXT ${text(1_300)}
big3000 TXT ${text(3_000)}
big5000 TXT ${text(5_000)}
big40000 TXT ${text(40_000)}
`;

export const REVERSE = `
$TTL 300
@ SOA ns.world.example. hostmaster.world.example. 1 3600 600 86400 120
@ NS ns.world.example.
1 PTR one.world.example.
4 PTR four.world.example.
`;

const SIGNED = `${APEX}
www A 192.0.2.80
alias CNAME www
text TXT "signed"
big TXT ${text(3_000)}
`;

/** About as many octets of text, in strings of 200. */
function text(octets: number): string {
  return Array.from({ length: octets / 200 }, (_, i) => `"${`${i} `.padEnd(199, '0123456789')}"`).join(' ');
}

/** Writes a zone file for unbound, and returns the lines of its configuration for that. */
export function authZone(folder: string, name: string, zone: string): string[] {
  const file = join(folder, `${name}.zone`);
  writeFileSync(file, `$ORIGIN ${name}.\n${zone}`);
  return ['auth-zone:', `name: "${name}"`, `zonefile: "${file}"`, 'for-downstream: no', 'for-upstream: yes'];
}

/**
 * Signs a zone with ldns-keygen and ldns-signzone. `breaks`: changes the signed text, so that the signatures lie.
 * Returns the lines of unbound's configuration for the zone and for its trust anchor.
 */
export function signedZone(
  folder: string,
  name: string,
  breaks: (zone: string) => string = (zone) => zone,
): { readonly zone: string[]; readonly anchor: string } {
  const file = join(folder, `${name}.unsigned`);
  writeFileSync(file, `$ORIGIN ${name}.\n${SIGNED}`);
  const key = execFileSync('ldns-keygen', ['-a', 'ECDSAP256SHA256', '-k', name], { cwd: folder, encoding: 'utf8' });
  execFileSync('ldns-signzone', ['-f', `${file}.signed`, file, key.trim()], { cwd: folder });
  const anchor = readFileSync(join(folder, `${key.trim()}.ds`), 'utf8').trim();
  const zone = breaks(readFileSync(`${file}.signed`, 'utf8'));
  return { zone: authZone(folder, name, zone), anchor: `trust-anchor: "${anchor.replaceAll(/\s+/g, ' ')}"` };
}
