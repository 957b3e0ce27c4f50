/**
 * Host keys that were accepted because their resource says so (`acceptNewHostKey`): the first is remembered, another one is
 * refused from then on. On the agent's disk; taking the file away forgets them. Refuses to decide for a resource.
 */
import path from 'node:path';
import { type Logger, objectOf, parseString, recordOf } from '@sallyport/core';
import { fingerprint } from '@sallyport/ssh-certificates';
import { readIfThere, writeWhole } from '../files.ts';

const parseFile = objectOf({ keys: recordOf(parseString) });

export class KnownHosts {
  readonly #file: string;
  readonly #log: Logger;
  /** Base64 of the key's blob, by resource and address. */
  readonly #keys: Map<string, string>;

  /** @throws ParseError when the file is not what was written: an unknown host is then no new host */
  constructor(dataDir: string, log: Logger) {
    this.#file = path.join(dataDir, 'ssh_known_hosts.json');
    this.#log = log;
    const bytes = readIfThere(this.#file);
    const known = bytes === undefined ? {} : parseFile(JSON.parse(bytes.toString('utf8')), 'ssh_known_hosts.json').keys;
    this.#keys = new Map(Object.entries(known));
  }

  /** @param at `<resource id> <host>:<port>` */
  isKnownOrNew(at: string, blob: Uint8Array): boolean {
    const key = Buffer.from(blob).toString('base64');
    const known = this.#keys.get(at);
    if (known !== undefined) return known === key;
    this.#keys.set(at, key);
    writeWhole(this.#file, JSON.stringify({ keys: Object.fromEntries(this.#keys) }));
    this.#log.warn('a new host key is trusted from now on', { at, key: fingerprint(blob) });
    return true;
  }
}
