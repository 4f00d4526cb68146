import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A private folder for the unix sockets of one test; `remove` deletes it. */
export class SocketPaths {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'slipway-test-'));
  #next = 0;

  /** A path (a named pipe's on Windows) that nobody uses yet. */
  path(name: string): string {
    const file = `${this.#next++}-${name}`;
    return process.platform === 'win32'
      ? `\\\\.\\pipe\\${this.folder.replaceAll(/\W/g, '-')}-${file}`
      : join(this.folder, file);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
