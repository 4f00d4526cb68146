/**
 * Where `slipway up` keeps what outlives it, unless told: $XDG_STATE_HOME/slipway or ~/.local/state/slipway (XDG Base
 * Directory Specification, which ignores a relative path); '' where there is no home, which keeps nothing.
 */
export function stateFolder(environment: Readonly<Record<string, string | undefined>>): string {
  const { XDG_STATE_HOME: state = '', HOME: home = '' } = environment;
  if (state.startsWith('/')) return `${state.replace(/\/+$/, '')}/slipway`;
  return home.startsWith('/') ? `${home.replace(/\/+$/, '')}/.local/state/slipway` : '';
}
