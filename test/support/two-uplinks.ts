import { connectNamespaces, createNamespace, type Disposer, nsExec, type TestNamespace } from './namespace.ts';

/**
 * A computer with two uplinks to one server: up1 (10.1.0.1) reaches 10.1.0.2, up2 (10.2.0.1) reaches 10.2.0.2 and, by
 * default, all else.
 */
export interface TwoUplinks {
  readonly home: TestNamespace;
  readonly away: TestNamespace;
  /** Runs ip in `home`; the kernel has told of the change when it returns. */
  ip(...command: readonly string[]): void;
}

/** Needs root, ip and nsenter. */
export function createTwoUplinks(t: Disposer): TwoUplinks {
  const home = createNamespace(t, 'home');
  const away = createNamespace(t, 'away');
  for (const n of [1, 2]) {
    connectNamespaces(
      { namespace: home, device: `up${n}`, address: `10.${n}.0.1/24` },
      { namespace: away, device: `down${n}`, address: `10.${n}.0.2/24` },
    );
  }
  nsExec(home, 'ip', 'route', 'add', 'default', 'via', '10.2.0.2');
  return {
    home,
    away,
    ip: (...command) => {
      nsExec(home, 'ip', ...command);
    },
  };
}
