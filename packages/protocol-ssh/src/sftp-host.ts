/**
 * The host's side of SFTP: requests under ids of our own, each answer to whoever asked, and paths as the host resolves them
 * (REALPATH: links and `..` are gone). draft-ietf-secsh-filexfer-02. Refuses answers that nobody asked for; judges nothing.
 */
import { GatewayError } from '@sallyport/core';
import type { Channel } from './channels.ts';
import { normalPath } from './classify.ts';
import { byte, encode, Reader, string, uint32 } from './messages.ts';
import { FX, FXP, filteredVersion, framed, nameIn, PacketSplitter, sizeOf, statusPacket } from './sftp-messages.ts';

/** What an answer of the host is to be taken for. */
type Asked =
  /** The client's: its id comes back on the answer, or on what goes instead of it. */
  | { readonly kind: 'client'; readonly id: number; answered?(packet: Buffer): Buffer | undefined | void }
  | { readonly kind: 'own'; answered(packet: Buffer): void };

export class SftpHost {
  readonly #channel: Channel;
  readonly #toClient: (bytes: Buffer) => void;
  readonly #packets = new PacketSplitter();
  readonly #asked = new Map<number, Asked>();
  #nextId = 0;
  #home = '/';

  /** @param toClient gets whole packets */
  constructor(channel: Channel, toClient: (bytes: Buffer) => void) {
    this.#channel = channel;
    this.#toClient = toClient;
  }

  /** The first packet of all. */
  begin(): void {
    this.#channel.write(framed(encode(byte(FXP.init), uint32(3))));
  }

  /**
   * A request of the client.
   * @param answered may give what goes to the client instead
   */
  forward(id: number, packet: Buffer, answered?: (answer: Buffer) => Buffer | undefined | void): void {
    const own = this.#newId();
    this.#asked.set(own, { kind: 'client', id, ...(answered === undefined ? {} : { answered }) });
    this.#sendWithId(packet, own);
  }

  #own(packet: Buffer, answered: (answer: Buffer) => void): void {
    const own = this.#newId();
    this.#asked.set(own, { kind: 'own', answered });
    this.#sendWithId(packet, own);
  }

  #newId(): number {
    do this.#nextId = (this.#nextId + 1) >>> 0;
    while (this.#asked.has(this.#nextId));
    return this.#nextId;
  }

  #sendWithId(packet: Buffer, id: number): void {
    const bytes = framed(packet);
    bytes.writeUInt32BE(id, 5);
    this.#channel.write(bytes);
  }

  /**
   * A path as the host itself resolves it.
   * @param follows the last part is followed when it is a link
   */
  async real(path: string, follows: boolean): Promise<string> {
    const whole = path.startsWith('/') ? path : `${this.#home}/${path}`;
    const cut = whole.replace(/\/+$/, '');
    const at = cut.lastIndexOf('/');
    const [directory, name] = [cut.slice(0, at) || '/', cut.slice(at + 1)];
    const last = name === '.' || name === '..' || name === '';
    const [all, parent] = await Promise.all([
      follows || last ? this.#hostPath(whole) : Promise.resolve(undefined),
      last ? Promise.resolve(undefined) : this.#hostPath(directory),
    ]);
    if (all !== undefined) return all;
    if (parent !== undefined && !last) return normalPath(`${parent}/${name}`);
    return normalPath(whole);
  }

  #hostPath(path: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#own(encode(byte(FXP.realpath), uint32(0), string(path)), (answer) => resolve(nameIn(answer)));
    });
  }

  /** @returns bytes of a file, undefined where the host does not say */
  size(path: string): Promise<number | undefined> {
    return new Promise((resolve) => {
      this.#own(encode(byte(FXP.stat), uint32(0), string(path)), (answer) =>
        resolve(answer[0] === FXP.attrs ? sizeOf(answer) : undefined),
      );
    });
  }

  /**
   * What the host said.
   * @throws GatewayError `upstream.protocol`
   */
  said(chunk: Buffer): void {
    this.#packets.feed(chunk, (packet) => this.#answer(packet));
  }

  #answer(packet: Buffer): void {
    if (packet[0] === FXP.version) {
      // Before anything else is answered: where relative paths begin.
      this.#own(encode(byte(FXP.realpath), uint32(0), string('.')), (answer) => {
        this.#home = nameIn(answer) ?? '/';
      });
      this.#toClient(framed(filteredVersion(packet)));
      return;
    }
    const id = new Reader(packet).uint32();
    const asked = this.#asked.get(id);
    if (asked === undefined) throw new GatewayError('upstream.protocol', { reason: 'an answer nobody asked for' });
    this.#asked.delete(id);
    const instead = asked.answered?.(packet);
    if (asked.kind === 'own') return;
    const bytes = framed(instead instanceof Uint8Array ? instead : packet);
    bytes.writeUInt32BE(asked.id, 5);
    this.#toClient(bytes);
  }

  /** No answer comes any more: whoever waits for one hears of a failure, and the client nothing. */
  ended(): void {
    for (const asked of this.#asked.values()) asked.answered?.(statusPacket(0, FX.failure, ''));
    this.#asked.clear();
  }
}
