/**
 * What a connection may be encrypted with, by the names on the wire.
 * The agent reads its setting by this before any session: it imports nothing of the protocol.
 */
import { GatewayError } from '@sallyport/core';
import { SSH_ALSO_KNOWN, SSH_MODERN } from '@sallyport/model';

/** Names on the wire; the first that both know is taken, as the client orders them. */
export interface Algorithms {
  readonly kex: readonly string[];
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
  readonly hostKey: readonly string[];
}

export const MODERN: Algorithms = SSH_MODERN;
/** What may be chosen besides, by who has old hosts. */
export const ALSO_KNOWN: Algorithms = SSH_ALSO_KNOWN;

/**
 * What clients may choose from, by names of any kind; a kind of which none is named stays as it is.
 * @throws GatewayError `config.invalid` for what is not known here, or a kind of key: the agent's own is Ed25519
 */
export function algorithmsNamed(names: readonly string[]): Algorithms {
  const left = new Set(names);
  const of = (kind: keyof Algorithms): readonly string[] => {
    const known = [...MODERN[kind], ...ALSO_KNOWN[kind]];
    const chosen = names.filter((name) => known.includes(name));
    for (const name of chosen) left.delete(name);
    return chosen.length === 0 ? MODERN[kind] : chosen;
  };
  const named = { kex: of('kex'), cipher: of('cipher'), mac: of('mac'), hostKey: MODERN.hostKey };
  const [unknown] = left;
  if (unknown === undefined) return named;
  const list = (['kex', 'cipher', 'mac'] as const).flatMap((kind) => [...MODERN[kind], ...ALSO_KNOWN[kind]]);
  throw new GatewayError('config.invalid', {
    setting: 'SALLYPORT_SSH_ALGORITHMS',
    reason: `${unknown} is none of ${list.join(', ')}`,
  });
}
