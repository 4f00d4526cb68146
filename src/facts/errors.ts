/**
 * Every code that an error of Slipway can carry, and what it means. A code never changes its meaning and is never
 * reused; `docs/errors.md` explains each, and a test compares the two lists both ways.
 */
export const ERRORS = {
  ERR_USAGE: 'The command line asks for something that does not exist or does not fit together.',
  ERR_CONFIG_READ: 'The configuration file cannot be read.',
  ERR_CONFIG_SYNTAX: 'The configuration file is not valid YAML.',
  ERR_CONFIG_INVALID: 'A key of the configuration is unknown or its value is not what the key expects.',
  ERR_ADDRESSES: 'Subnet, gateway and host address do not fit together.',
  ERR_LISTEN_URL: 'An attachment URL is not one that Slipway understands, or names an address that is not loopback.',
  ERR_LISTEN_IN_USE: 'Another process already listens at the attachment address.',
  ERR_LISTEN_FAILED: 'The host refused to open the listening socket, or its path is a file that is not a socket.',
  ERR_RUNTIME_FOLDER: 'The private runtime folder cannot be made.',
  ERR_ENGINE_UNAVAILABLE: 'The chosen host engine does not work on this machine.',
  ERR_ENGINE_LACKS: 'The host engine does not support this kind of attachment.',
  ERR_PROCESS_LIMITS: 'The limits of the process (ulimit) leave too little for Slipway to start.',
  ERR_SYSTEM_CALL: 'A system call that must succeed failed.',
  ERR_NETWORK_THREAD: 'The network thread could not be started, or died too often.',
  ERR_TUN_MISSING: 'There is no /dev/net/tun on this machine.',
  ERR_TUN_DENIED: 'This user may not open /dev/net/tun.',
  ERR_NAMESPACE_DENIED: 'The kernel does not let this user make the namespaces that a guest needs.',
  ERR_NAMESPACE_SETUP: 'The namespace of the guest could not be set up.',
  ERR_COMMAND_NOT_FOUND: 'The command to run in the guest does not exist.',
  ERR_COMMAND_NOT_EXECUTABLE: 'The command to run in the guest exists but cannot be executed.',
  ERR_GUEST_PORT_IN_USE: 'Inside the virtual machine, another program holds the port of slipway guest dns.',
  ERR_GUEST_LISTEN_FAILED: 'Inside the virtual machine, the kernel refused the address of slipway guest dns.',
  ERR_GUEST_REFUSED: 'The guest refuses connections at that port.',
  ERR_GUEST_UNREACHABLE: 'No guest has that address, or none is attached.',
  ERR_GUEST_TIMEOUT: 'The guest is there but does not answer at that port.',
  ERR_DNS_ZONE: 'A zone or record of the internal DNS server is not valid, or there are too many of them.',
  ERR_PORT_IN_USE: 'Another program holds the port to publish.',
  ERR_PORT_DENIED: 'This user may not bind the port, and no privileged helper binds it for them.',
  ERR_PORT_ADDRESS: 'This computer does not have the address to publish at.',
  ERR_PORT_LIMIT: 'The ports to publish need more descriptors than the process may have.',
  ERR_PORT_FAILED: 'The host refused to bind the port for another reason, which the message names.',
  ERR_HELPER_UNAVAILABLE: 'The privileged helper does not answer as it should.',
  ERR_HELPER_DENIED: 'The privileged helper refuses to bind the port for this user.',
  ERR_HELPER_CONFINEMENT: 'The privileged helper has rights that it must not have, or lacks the one that it needs.',
  ERR_HELPER_INSTALL: 'The privileged helper could not be installed or removed.',
  ERR_CONTROL_UNREACHABLE: 'No daemon answers at the control socket.',
  ERR_CONTROL_TOKEN: 'The control API requires its token, and the request has none or a wrong one.',
  ERR_CONTROL_HOST: 'The Host header of the request is not a loopback name.',
  ERR_CONTROL_NOT_FOUND: 'The control API has no such path, or nothing of that name.',
  ERR_CONTROL_METHOD: 'This path of the control API does not take the method.',
  ERR_CONTROL_REQUEST: 'The request is not what the path of the control API accepts; the message names the field.',
  ERR_CONTROL_TOO_LARGE: 'The request is larger than the path of the control API accepts.',
  ERR_CONTROL_MEDIA_TYPE: 'The control API accepts only JSON.',
  ERR_CONTROL_BUSY: 'The control API already serves as many connections or event streams as it allows.',
  ERR_CONTROL_DEFECT: 'The control API failed because of a defect; the log has more.',
  ERR_FORWARD_EXISTS: 'The host port or socket already leads elsewhere, or the service exists with another target.',
  ERR_FORWARD_INVALID: 'The two ends of a forward or a service do not fit together, or one of them is impossible.',
  ERR_SSH_KEY: 'The private key for the sshd of a guest cannot be read or used.',
  ERR_SSH_LOGIN: 'The sshd of the guest does not let the user in.',
  ERR_SSH_HOST_KEY: 'The sshd of the guest shows a different host key than before.',
  ERR_SSH_FAILED: 'The sshd of the guest does not answer as it should.',
  ERR_SSH_SOCKET: 'The sshd of the guest cannot connect to the socket to reach.',
  ERR_FORWARD_NOT_KEPT: 'The forward cannot be kept for the next start.',
  ERR_FORWARD_STAYS: 'The forward stays published, since its record for the next start cannot be removed now.',
  ERR_FORWARD_NOT_FOUND: 'There is no forward with that id.',
  ERR_DOCKER_MISSING: 'A program of Docker that the command needs is not installed.',
  ERR_DOCKER_FAILED: 'The Docker engine does not start, does not answer, or refuses what it is asked for.',
} as const;

/** One of the codes that docs/errors.md explains. */
export type ErrorCode = keyof typeof ERRORS;

/** An error that a person reads: `message` names what failed and why, `hint` what to do next. */
export class SlipwayError extends Error {
  override readonly name: string = 'SlipwayError';
  readonly code: ErrorCode;
  /** What to do next, as a sentence; empty when there is nothing to advise. */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint = '', options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}
