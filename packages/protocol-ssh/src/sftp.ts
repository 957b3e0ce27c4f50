/**
 * SFTP between a client and a host: every operation that touches a path is a statement, judged before the host hears of it,
 * by the path as the host itself resolves it. What moves through a handle was judged when it was opened (sftp-handles.ts).
 * Requests stay in the order in which they were asked. Refuses extensions it does not know, and files larger than may be had.
 */
import { CODES, GatewayError } from '@sallyport/core';
import type { FileFacts, FileOperation } from '@sallyport/model';
import { type HeldNotice, Refusal } from '@sallyport/protocol-kit';
import type { Channel, ChannelOwner } from './channels.ts';
import { fileStatement } from './classify.ts';
import { forTerminal, heldText } from './deny.ts';
import { type ChannelRequest, Reader } from './messages.ts';
import type { Tally } from './record.ts';
import { SftpHandles } from './sftp-handles.ts';
import { SftpHost } from './sftp-host.ts';
import { EXTENSIONS, FX, FXP, framed, OPEN_CHANGES, OPEN_READ, PacketSplitter, statusPacket } from './sftp-messages.ts';
import type { Work } from './work.ts';

export class Sftp implements ChannelOwner {
  readonly #work: Work;
  readonly #client: Channel;
  readonly #channel: Channel;
  readonly #host: SftpHost;
  readonly #handles: SftpHandles;
  readonly #ended: () => void;
  readonly #fromClient = new PacketSplitter();
  /** Packets that came while an operation is being judged, in order. */
  #queue: Buffer[] = [];
  #busy = false;
  #started = false;
  #owedUp = 0;
  #owedDown = 0;
  #over = false;
  #clientEof = false;

  constructor(work: Work, client: Channel, channel: Channel, ended: () => void) {
    this.#work = work;
    this.#client = client;
    this.#channel = channel;
    this.#ended = ended;
    this.#host = new SftpHost(channel, (bytes) => void client.write(bytes));
    this.#handles = new SftpHandles(work, this.#host, {
      no: (id, code, message) => this.#no(id, code, message),
      say: (text) => this.#say(text),
    });
    channel.owner = this;
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
    if (this.#busy || this.#queue.length > 0 || this.#channel.queued > 0) this.#owedUp += chunk.length;
    else this.#client.took(chunk.length);
  }

  clientEof(): void {
    this.#clientEof = true;
    this.#endWhenIdle();
  }

  clientClosed(): void {
    this.#channel.abort();
  }

  clientDrained(): void {
    const owed = this.#owedDown;
    this.#owedDown = 0;
    if (owed > 0) this.#channel.took(owed);
  }

  stop(): void {
    this.#channel.abort();
  }

  #endWhenIdle(): void {
    if (this.#clientEof && !this.#busy && this.#queue.length === 0) this.#channel.eof();
  }

  #payUp(): void {
    if (this.#busy || this.#queue.length > 0 || this.#channel.queued > 0) return;
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
      this.#host.begin();
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
        return this.#handles.request(type, id, packet, reader);
      case FXP.fsetstat:
        return this.#setOnHandle(id, packet, reader);
      case FXP.realpath:
        this.#host.forward(id, packet);
        return undefined;
      case FXP.extended:
        return this.#extended(id, packet, reader);
      default:
        return this.#onPath(type, id, packet, reader);
    }
  }

  #setOnHandle(id: number, packet: Buffer, reader: Reader): Promise<void> | undefined {
    const file = this.#handles.file(reader.string());
    if (file === undefined) return this.#no(id, FX.failure, 'no such handle');
    return this.#judged(id, { ...file, op: 'setstat', target: '', size: 0 }, packet);
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
        this.#host.forward(id, packet);
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
    await this.#judged(id, this.#facts(op, await this.#host.real(path, follows)), own);
  }

  async #twoPaths(id: number, op: FileOperation, packet: Buffer, from: string, to: string): Promise<void> {
    const own = Buffer.from(packet);
    const [path, target] = await Promise.all([this.#host.real(from, false), this.#host.real(to, false)]);
    await this.#judged(id, { ...this.#facts(op, path), target }, own);
  }

  async #link(id: number, packet: Buffer, link: string, target: string): Promise<void> {
    const own = Buffer.from(packet);
    const path = await this.#host.real(link, false);
    const directory = path.slice(0, path.lastIndexOf('/') + 1);
    // `..` behind a link is the host's to resolve, too: `there/../x` need not be beside `there`.
    const pointed = await this.#host.real(target.startsWith('/') ? target : `${directory}${target}`, true);
    await this.#judged(id, { ...this.#facts('symlink', path), target: pointed }, own);
  }

  async #open(id: number, packet: Buffer, asked: string, flags: number): Promise<void> {
    const own = Buffer.from(packet);
    const writes = (flags & OPEN_CHANGES) !== 0;
    const reads = (flags & OPEN_READ) !== 0 || !writes;
    const [path, size] = await Promise.all([this.#host.real(asked, true), this.#host.size(asked)]);
    const file = { ...this.#facts(writes ? 'write' : 'read', path), size: writes && !reads ? 0 : (size ?? 0) };
    const tally = await this.#ask(id, file, reads && writes);
    if (tally === undefined) return;
    const max = this.#work.signed.resource.ssh?.downloadBytesMax;
    if (reads && max !== undefined && (size ?? 0) > max) {
      this.#handles.tooLarge(id, tally);
      return tally.finish(this.#work.host.monotonicUs());
    }
    const scan = reads ? this.#work.contentScan() : undefined;
    this.#handles.open(id, own, { file, reads, writes, isDirectory: false, scan, tally });
  }

  async #openDirectory(id: number, packet: Buffer, asked: string): Promise<void> {
    const own = Buffer.from(packet);
    const file = this.#facts('list', await this.#host.real(asked, true));
    const tally = await this.#ask(id, file, false);
    if (tally !== undefined)
      this.#handles.open(id, own, { file, reads: true, writes: false, isDirectory: true, scan: undefined, tally });
  }

  #facts(op: FileOperation, path: string): FileFacts {
    return { op, path, target: '', size: 0, via: 'sftp' };
  }

  /** Judges and forwards what is over with its answer. */
  async #judged(id: number, file: FileFacts, packet: Buffer): Promise<void> {
    const tally = await this.#ask(id, file, false);
    if (tally === undefined) return;
    this.#host.forward(id, packet, (answer) => {
      const failed = answer[0] === FXP.status && new Reader(answer, 5).uint32() !== FX.ok;
      if (failed) tally.error = 'upstream';
      this.#work.fileEnded(tally, file, '');
    });
  }

  /** @returns undefined when it was refused: the client has its answer */
  async #ask(id: number, file: FileFacts, alsoReads: boolean): Promise<Tally | undefined> {
    const statement = fileStatement(file, this.#work.signed.info.role, alsoReads);
    try {
      const { tally } = await this.#work.judge(statement, { held: (notice) => this.#held(notice) });
      return tally;
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

  #no(id: number, code: number, message: string): undefined {
    this.#client.write(framed(statusPacket(id, code, message)));
    return undefined;
  }

  // From the host.

  data(chunk: Buffer, isStderr: boolean): void {
    if (isStderr) this.#client.write(chunk, true);
    else {
      try {
        this.#host.said(chunk);
      } catch (error) {
        return this.#break(error);
      }
    }
    if (this.#client.queued === 0 && this.#owedDown === 0) this.#channel.took(chunk.length);
    else this.#owedDown += chunk.length;
  }

  eof(): void {
    this.#client.eof();
  }

  drained(): void {
    this.#payUp();
  }

  request({ type, wantReply, data }: ChannelRequest): void {
    if (type === 'exit-status' || type === 'exit-signal') this.#client.request(type, data);
    else if (wantReply) this.#channel.answer(false);
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#queue = [];
    this.#handles.closeAll();
    this.#host.ended();
    this.#client.close();
    this.#ended();
  }

  #break(error: unknown): void {
    if (this.#over) return;
    this.#say(this.#work.textOf(error, undefined));
    this.#channel.abort();
    this.#client.close();
  }
}
