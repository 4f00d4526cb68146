/** Where the privileged helper listens for those who may not bind ports below 1024, and where the daemon asks it. */
export const HELPER_SOCKET = '/run/slipway-helper.sock';
