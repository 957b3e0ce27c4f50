/** What the relay is given: name, port, and a session for each connection. */

import { LIMITS } from '@sallyport/core';
import type { ProtocolAdapter } from '@sallyport/protocol-kit';
import { type SshOptions, SshSession } from './session.ts';

export { algorithmsNamed } from './codec/algorithms.ts';
export { type HostKey, loadTransport, parsePrivateKey } from './codec.ts';
export type { SshOptions } from './session.ts';

/** SSH 2.0. `loadTransport()` must have resolved. */
export const createSshAdapter = (options: SshOptions): ProtocolAdapter => ({
  name: 'ssh',
  transport: 'own',
  loginMsMax: LIMITS.sshLoginMsMax,
  defaultPort: 22,
  alpn: [],
  openSession: (host) => new SshSession(host, options),
});
