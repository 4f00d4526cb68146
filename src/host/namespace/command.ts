/** Finding a program as execvp(3) does, early enough to say in plain words why it cannot be run. */
import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SlipwayError } from '../../facts/errors.ts';

/** What execvp(3) searches when PATH is not set, with the folders of system programs. */
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';

/**
 * The path of the program that `name` means to someone with that PATH in that folder. Errors: ERR_COMMAND_NOT_FOUND
 * (a shell's status 127), ERR_COMMAND_NOT_EXECUTABLE (126).
 */
export function findCommand(name: string, searchPath: string | undefined, cwd: string): string {
  const candidates = name.includes('/')
    ? [resolve(cwd, name)]
    : (searchPath ?? DEFAULT_PATH).split(':').map((folder) => resolve(cwd, join(folder, name)));
  let refused: string | undefined;
  for (const path of name === '' ? [] : candidates) {
    const verdict = judge(path);
    if (verdict === 'runs') return path;
    if (verdict === 'refused') refused ??= path;
  }
  if (refused !== undefined) {
    throw new SlipwayError(
      'ERR_COMMAND_NOT_EXECUTABLE',
      `${name}: ${refused} is not an executable file that this user may run.`,
      `Look at it with: ls -l ${refused}`,
    );
  }
  throw new SlipwayError(
    'ERR_COMMAND_NOT_FOUND',
    `${name}: command not found.`,
    name.includes('/')
      ? `There is no file ${candidates[0]}.`
      : `No folder of PATH (${searchPath ?? DEFAULT_PATH}) has it.`,
  );
}

function judge(path: string): 'runs' | 'refused' | 'absent' {
  try {
    if (!statSync(path).isFile()) return 'refused';
    accessSync(path, constants.X_OK);
    return 'runs';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'refused' : 'absent';
  }
}
