/**
 * SFTP between a client and a host: every operation that touches a path is a statement, judged before the host hears of it,
 * by the path as the host itself resolves it (REALPATH: links and `..` are gone). What moves through a handle was judged when
 * it was opened; its bytes are counted and hashed. Requests stay in the order in which they were asked.
 * Refuses extensions it does not know, handles it did not give, and downloads that are too large.
 */
import { createHash, type Hash } from 'node:crypto';
import { CODES, GatewayError } from '@sallyport/core';
import type { FileFacts, FileOperation } from '@sallyport/model';
import { type HeldNotice, type Permit, Refusal } from '@sallyport/protocol-kit';
import type { Channel, ChannelOwner } from './channels.ts';
import { fileStatement, normalPath } from './classify.ts';
import { forTerminal, heldText } from './deny.ts';
import type { ContentScan } from './mask.ts';
import { byte, type ChannelRequest, encode, Reader, string, uint32 } from './messages.ts';
import type { Tally } from './record.ts';
import {
  EXTENSIONS,
  FX,
  FXP,
  filteredVersion,
  framed,
  nameIn,
  OPEN_CHANGES,
  OPEN_READ,
  PacketSplitter,
  sizeOf,
  statusPacket,
} from './sftp-messages.ts';
import type { Work } from './work.ts';

const HANDLES_MAX = 1_000;

interface Handle {
  readonly file: FileFacts;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly permit: Permit;
  readonly tally: Tally;
  readonly isDirectory: boolean;
  readonly scan: ContentScan | undefined;
  /** Of the content in the order of the file; undefined once it was not read or written from front to back. */
  hash: Hash | undefined;
  next: bigint;
  /** Waiting CLOSE. */
  closing: boolean;
}

/** What an answer of the host is to be taken for. */
type Asked =
  /** The client's: its id comes back on the answer, or on what goes instead of it. */
  | { readonly kind: 'client'; readonly id: number; answered?(packet: Buffer): Buffer | undefined | void }
  | { readonly kind: 'own'; answered(packet: Buffer): void };

export class Sftp implements ChannelOwner {
  readonly #work: Work;
  readonly #client: Channel;
  readonly #host: Channel;
  readonly #ended: () => void;
  readonly #fromClient = new PacketSplitter();
  readonly #fromHost = new PacketSplitter();
  readonly #asked = new Map<number, Asked>();
  readonly #handles = new Map<string, Handle>();
  /** Packets that came while an operation is being judged, in order. */
  #queue: Buffer[] = [];
  #busy = false;
  #nextId = 0;
  #home = '/';
  #started = false;
  #owedUp = 0;
  #owedDown = 0;
  #over = false;
  #clientEof = false;

  /** @param permit of the subsystem: for what the gateway itself asks of the host */
  constructor(work: Work, client: Channel, host: Channel, ended: () => void) {
    this.#work = work;
    this.#client = client;
    this.#host = host;
    this.#ended = ended;
    host.owner = this;
  }

  // From the client.

  clientData(chunk: Buffer): void {
    try {
      this.#fromClient.feed(chunk, (packet) => {
        if (this.#busy || this.#queue.length > 0) this.#queue.push(Buffer.from(packet));
        else this.#request(packet);
      });
    } catch (error) {
      return this.#break(error);
    }
    if (this.#busy || this.#queue.length > 0 || this.#host.queued > 0) this.#owedUp += chunk.length;
    else this.#client.took(chunk.length);
  }

  clientEof(): void {
    this.#clientEof = true;
    this.#endWhenIdle();
  }

  clientClosed(): void {
    this.#host.abort();
  }

  clientDrained(): void {
    const owed = this.#owedDown;
    this.#owedDown = 0;
    if (owed > 0) this.#host.took(owed);
  }

  stop(): void {
    this.#host.abort();
  }

  #endWhenIdle(): void {
    if (this.#clientEof && !this.#busy && this.#queue.length === 0) this.#host.eof();
  }

  #payUp(): void {
    if (this.#busy || this.#queue.length > 0 || this.#host.queued > 0) return;
    const owed = this.#owedUp;
    this.#owedUp = 0;
    if (owed > 0) this.#client.took(owed);
  }

  #request(packet: Buffer): void {
    const working = this.#begin(packet);
    if (working === undefined) return;
    this.#busy = true;
    working
      .catch((error: unknown) => this.#break(error))
      .finally(() => {
        this.#busy = false;
        this.#more();
      });
  }

  #more(): void {
    while (!this.#busy && !this.#over) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      try {
        this.#request(next);
      } catch (error) {
        return this.#break(error);
      }
    }
    this.#payUp();
    this.#endWhenIdle();
  }

  /** @returns a promise where something has to be judged first */
  #begin(packet: Buffer): Promise<void> | undefined {
    const type = packet[0]!;
    if (!this.#started) {
      if (type !== FXP.init) throw new GatewayError('protocol.unexpected', { type });
      this.#started = true;
      this.#send(encode(byte(FXP.init), uint32(3)));
      return undefined;
    }
    const reader = new Reader(packet);
    const id = reader.uint32();
    switch (type) {
      case FXP.read:
      case FXP.write:
      case FXP.close:
      case FXP.fstat:
      case FXP.readdir:
        return this.#onHandle(type, id, packet, reader);
      case FXP.fsetstat:
        return this.#setOnHandle(id, packet, reader);
      case FXP.realpath:
        this.#forward(id, packet);
        return undefined;
      case FXP.extended:
        return this.#extended(id, packet, reader);
      default:
        return this.#onPath(type, id, packet, reader);
    }
  }

  #onHandle(type: number, id: number, packet: Buffer, reader: Reader): undefined {
    const name = reader.string().toString('latin1');
    const handle = this.#handles.get(name);
    if (handle === undefined) return this.#no(id, FX.failure, 'no such handle');
    switch (type) {
      case FXP.read: {
        const max = this.#work.signed.resource.ssh?.downloadBytesMax;
        if (!handle.reads) return this.#no(id, FX.permissionDenied, 'not opened for reading');
        if (max !== undefined && handle.tally.bytes > max) return this.#tooLarge(id, handle);
        const offset = reader.uint64();
        this.#forward(id, packet, (answer) => this.#readAnswered(handle, offset, answer));
        return undefined;
      }
      case FXP.write: {
        if (!handle.writes) return this.#no(id, FX.permissionDenied, 'not opened for writing');
        const offset = reader.uint64();
        this.#moved(handle, offset, reader.string());
        this.#forward(id, packet);
        return undefined;
      }
      case FXP.close:
        this.#handles.delete(name);
        this.#forward(id, packet, () => this.#closed(handle));
        return undefined;
      default:
        this.#forward(id, packet);
        return undefined;
    }
  }

  /** @returns what goes instead of content in which something was found that may not leave */
  #readAnswered(handle: Handle, offset: bigint, answer: Buffer): Buffer | undefined {
    if (answer[0] !== FXP.data) return undefined;
    const content = new Reader(answer, 5).string();
    const { scan } = handle;
    // Read in another order, or from its middle, a value could come in pieces in which nothing is found.
    const isAstray = scan !== undefined && offset !== handle.next;
    if (isAstray || scan?.found(content) === true) {
      const why = isAstray ? 'has to be read from front to back here' : 'holds what may not be downloaded here';
      if (handle.tally.error === '') this.#say(`Sallyport: the file ${why}.\n`);
      handle.tally.error = 'policy.denied';
      return statusPacket(0, FX.permissionDenied, CODES['policy.denied'].text);
    }
    this.#moved(handle, offset, content);
    return undefined;
  }

  /** Content that went through a handle, on the record by size and digest. */
  #moved(handle: Handle, offset: bigint, content: Buffer): void {
    handle.tally.bytes += content.length;
    if (handle.hash === undefined) return;
    if (offset !== handle.next) {
      handle.hash = undefined;
      return;
    }
    handle.hash.update(content);
    handle.next += BigInt(content.length);
  }

  #closed(handle: Handle): void {
    const digest = handle.isDirectory ? '' : (handle.hash?.digest('hex') ?? '');
    this.#work.fileEnded(handle.tally, handle.file, digest);
  }

  #tooLarge(id: number, handle: Handle): undefined {
    handle.tally.error = 'policy.denied';
    this.#say('Sallyport: the file is larger than may be downloaded here.\n');
    return this.#no(id, FX.permissionDenied, 'too large');
  }

  #setOnHandle(id: number, packet: Buffer, reader: Reader): Promise<void> | undefined {
    const handle = this.#handles.get(reader.string().toString('latin1'));
    if (handle === undefined) return this.#no(id, FX.failure, 'no such handle');
    const file: FileFacts = { ...handle.file, op: 'setstat', target: '', size: 0 };
    return this.#judged(id, file, packet);
  }

  #extended(id: number, packet: Buffer, reader: Reader): Promise<void> | undefined {
    const name = reader.text();
    if (!EXTENSIONS.has(name)) return this.#no(id, FX.unsupported, 'not carried');
    switch (name) {
      case 'posix-rename@openssh.com':
        return this.#twoPaths(id, 'rename', packet, reader.text(), reader.text());
      case 'hardlink@openssh.com':
        return this.#twoPaths(id, 'link', packet, reader.text(), reader.text());
      case 'lsetstat@openssh.com':
        return this.#onePath(id, 'setstat', packet, reader.text(), false);
      case 'statvfs@openssh.com':
        return this.#onePath(id, 'stat', packet, reader.text(), true);
      default:
        // fsync, fstatvfs, limits, expand-path, home-directory: of a handle that was judged, or of nothing.
        this.#forward(id, packet);
        return undefined;
    }
  }

  #onPath(type: number, id: number, packet: Buffer, reader: Reader): Promise<void> | undefined {
    switch (type) {
      case FXP.open:
        return this.#open(id, packet, reader.text(), reader.uint32());
      case FXP.opendir:
        return this.#openDirectory(id, packet, reader.text());
      case FXP.lstat:
      case FXP.readlink:
        return this.#onePath(id, 'stat', packet, reader.text(), false);
      case FXP.stat:
        return this.#onePath(id, 'stat', packet, reader.text(), true);
      case FXP.setstat:
        return this.#onePath(id, 'setstat', packet, reader.text(), true);
      case FXP.remove:
        return this.#onePath(id, 'remove', packet, reader.text(), false);
      case FXP.mkdir:
        return this.#onePath(id, 'mkdir', packet, reader.text(), false);
      case FXP.rmdir:
        return this.#onePath(id, 'rmdir', packet, reader.text(), false);
      case FXP.rename:
        return this.#twoPaths(id, 'rename', packet, reader.text(), reader.text());
      case FXP.symlink: {
        // OpenSSH puts what is pointed to first (PROTOCOL section 4.1).
        const target = reader.text();
        return this.#link(id, packet, reader.text(), target);
      }
      default:
        return this.#no(id, FX.unsupported, 'not carried');
    }
  }

  async #onePath(id: number, op: FileOperation, packet: Buffer, path: string, follows: boolean): Promise<void> {
    const own = Buffer.from(packet);
    await this.#judged(id, this.#facts(op, await this.#real(path, follows)), own);
  }

  async #twoPaths(id: number, op: FileOperation, packet: Buffer, from: string, to: string): Promise<void> {
    const own = Buffer.from(packet);
    const [path, target] = await Promise.all([this.#real(from, false), this.#real(to, false)]);
    await this.#judged(id, { ...this.#facts(op, path), target }, own);
  }

  async #link(id: number, packet: Buffer, link: string, target: string): Promise<void> {
    const own = Buffer.from(packet);
    const path = await this.#real(link, false);
    const directory = path.slice(0, path.lastIndexOf('/') + 1);
    // `..` behind a link is the host's to resolve, too: `there/../x` need not be beside `there`.
    const pointed = await this.#real(target.startsWith('/') ? target : `${directory}${target}`, true);
    await this.#judged(id, { ...this.#facts('symlink', path), target: pointed }, own);
  }

  async #open(id: number, packet: Buffer, asked: string, flags: number): Promise<void> {
    const own = Buffer.from(packet);
    const writes = (flags & OPEN_CHANGES) !== 0;
    const reads = (flags & OPEN_READ) !== 0 || !writes;
    const [path, size] = await Promise.all([this.#real(asked, true), this.#size(asked)]);
    const file = { ...this.#facts(writes ? 'write' : 'read', path), size: writes && !reads ? 0 : (size ?? 0) };
    const judged = await this.#ask(id, file, reads && writes);
    if (judged === undefined) return;
    const max = this.#work.signed.resource.ssh?.downloadBytesMax;
    if (reads && max !== undefined && (size ?? 0) > max) {
      judged.tally.error = 'policy.denied';
      judged.tally.finish(this.#work.host.monotonicUs());
      this.#say('Sallyport: the file is larger than may be downloaded here.\n');
      return this.#no(id, FX.permissionDenied, 'too large');
    }
    const scan = reads ? this.#work.contentScan() : undefined;
    this.#opened(id, own, { file, reads, writes, isDirectory: false, scan, ...judged });
  }

  async #openDirectory(id: number, packet: Buffer, asked: string): Promise<void> {
    const own = Buffer.from(packet);
    const file = this.#facts('list', await this.#real(asked, true));
    const judged = await this.#ask(id, file, false);
    if (judged !== undefined)
      this.#opened(id, own, { file, reads: true, writes: false, isDirectory: true, scan: undefined, ...judged });
  }

  #opened(id: number, packet: Buffer, made: Omit<Handle, 'hash' | 'next' | 'closing'>): void {
    if (this.#handles.size >= HANDLES_MAX) return this.#no(id, FX.failure, 'too many open files');
    this.#forward(id, packet, (answer) => {
      if (answer[0] === FXP.handle) {
        const name = new Reader(answer, 5).string().toString('latin1');
        this.#handles.set(name, { ...made, hash: createHash('sha256'), next: 0n, closing: false });
        return;
      }
      made.tally.error = 'upstream';
      made.tally.finish(this.#work.host.monotonicUs());
    });
  }

  #facts(op: FileOperation, path: string): FileFacts {
    return { op, path, target: '', size: 0, via: 'sftp' };
  }

  /** Judges and forwards what is over with its answer. */
  async #judged(id: number, file: FileFacts, packet: Buffer): Promise<void> {
    const judged = await this.#ask(id, file, false);
    if (judged === undefined) return;
    this.#forward(id, packet, (answer) => {
      const failed = answer[0] === FXP.status && new Reader(answer, 5).uint32() !== FX.ok;
      if (failed) judged.tally.error = 'upstream';
      this.#work.fileEnded(judged.tally, file, '');
    });
  }

  /** @returns undefined when it was refused: the client has its answer */
  async #ask(
    id: number,
    file: FileFacts,
    alsoReads: boolean,
  ): Promise<{ readonly permit: Permit; readonly tally: Tally } | undefined> {
    const statement = fileStatement(file, this.#work.signed.info.role, alsoReads);
    try {
      const { permit, tally } = await this.#work.judge(statement, { held: (notice) => this.#held(notice) });
      return { permit, tally };
    } catch (error) {
      this.#say(this.#work.textOf(error, statement));
      if (!(error instanceof Refusal)) throw error;
      this.#no(id, FX.permissionDenied, CODES[error.code].text);
      return undefined;
    }
  }

  #held(notice: HeldNotice): void {
    this.#say(heldText(notice, this.#work.host.nowMs()));
  }

  #say(text: string): void {
    this.#client.write(forTerminal(text, false), true);
  }

  // The path as the host sees it.

  /** @param follows the last part is followed when it is a link */
  async #real(path: string, follows: boolean): Promise<string> {
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

  #size(path: string): Promise<number | undefined> {
    return new Promise((resolve) => {
      this.#own(encode(byte(FXP.stat), uint32(0), string(path)), (answer) =>
        resolve(answer[0] === FXP.attrs ? sizeOf(answer) : undefined),
      );
    });
  }

  // To the host.

  #forward(id: number, packet: Buffer, answered?: (answer: Buffer) => Buffer | undefined | void): void {
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
    this.#host.write(bytes);
  }

  #send(packet: Buffer): void {
    this.#host.write(framed(packet));
  }

  #no(id: number, code: number, message: string): undefined {
    this.#client.write(framed(statusPacket(id, code, message)));
    return undefined;
  }

  // From the host.

  data(chunk: Buffer, isStderr: boolean): void {
    if (isStderr) this.#client.write(chunk, true);
    else {
      try {
        this.#fromHost.feed(chunk, (packet) => this.#answer(packet));
      } catch (error) {
        return this.#break(error);
      }
    }
    if (this.#client.queued === 0 && this.#owedDown === 0) this.#host.took(chunk.length);
    else this.#owedDown += chunk.length;
  }

  #answer(packet: Buffer): void {
    if (packet[0] === FXP.version) {
      // Before anything else is answered: where relative paths begin.
      this.#own(encode(byte(FXP.realpath), uint32(0), string('.')), (answer) => {
        this.#home = nameIn(answer) ?? '/';
      });
      this.#client.write(framed(filteredVersion(packet)));
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
    this.#client.write(bytes);
  }

  eof(): void {
    this.#client.eof();
  }

  drained(): void {
    this.#payUp();
  }

  request({ type, wantReply, data }: ChannelRequest): void {
    if (type === 'exit-status' || type === 'exit-signal') this.#client.request(type, data);
    else if (wantReply) this.#host.answer(false);
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#queue = [];
    for (const handle of this.#handles.values()) this.#closed(handle);
    this.#handles.clear();
    for (const asked of this.#asked.values()) asked.answered?.(statusPacket(0, FX.failure, ''));
    this.#asked.clear();
    this.#client.close();
    this.#ended();
  }

  #break(error: unknown): void {
    if (this.#over) return;
    this.#say(this.#work.textOf(error, undefined));
    this.#host.abort();
    this.#client.close();
  }
}
