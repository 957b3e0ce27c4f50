/** Which headers go on from one side of the loopback proxy to the other: raw, in their order. RFC 9110 section 7.6.1. */

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'upgrade',
]);

export interface Onward {
  /** Replaces Host; the answer's direction has none. */
  readonly host?: string;
  /** Access token for the agent. */
  readonly token?: string;
  readonly keepUpgrade?: boolean;
}

/**
 * @param raw name, value, name, value, …
 * @returns the same form; framing (Content-Length, Transfer-Encoding) stays as it is
 */
export function forwardedHeaders(
  raw: readonly string[],
  { host, token, keepUpgrade = false }: Onward,
): readonly string[] {
  const named = new Set<string>();
  let upgrade: string | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase();
    if (name === 'connection') for (const part of raw[at + 1]!.split(',')) named.add(part.trim().toLowerCase());
    if (name === 'upgrade') upgrade = raw[at + 1];
  }
  const headers: string[] = host === undefined ? [] : ['host', host];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase();
    if (HOP_BY_HOP.has(name) || named.has(name) || (host !== undefined && name === 'host')) continue;
    headers.push(raw[at]!, raw[at + 1]!);
  }
  if (token !== undefined) headers.push('proxy-authorization', `Bearer ${token}`);
  if (keepUpgrade && upgrade !== undefined) headers.push('connection', 'upgrade', 'upgrade', upgrade);
  return headers;
}
