/**
 * Users and groups of the host by /etc/passwd and /etc/group: what a person may be told of a number, and the other way
 * round.
 */
import { readFileSync } from 'node:fs';

/** The name of a user, or the number for one that /etc/passwd does not list (a directory service's, a container's). */
export function userName(uid: number): string {
  return entries('/etc/passwd').find(([, , id]) => id === String(uid))?.[0] ?? String(uid);
}

/** The number of the user with that name; undefined when /etc/passwd does not list it. */
export function userId(name: string): number | undefined {
  return idOf('/etc/passwd', name);
}

/** The number of the group with that name; undefined when /etc/group does not list it. */
export function groupId(name: string): number | undefined {
  return idOf('/etc/group', name);
}

function idOf(file: string, name: string): number | undefined {
  const id = entries(file).find(([entry]) => entry === name)?.[2];
  return id === undefined ? undefined : Number(id);
}

/** Both files: name, password, number, … */
function entries(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}
