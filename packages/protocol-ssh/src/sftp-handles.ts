/**
 * Files and directories that a client has open over SFTP. What moves through a handle was judged when it was opened; its bytes
 * are counted, hashed and looked through. Refuses handles that were not given, and downloads that are too large.
 */
import { createHash, type Hash } from 'node:crypto';
import { CODES } from '@sallyport/core';
import type { FileFacts } from '@sallyport/model';
import type { ContentScan } from './mask.ts';
import { Reader } from './messages.ts';
import type { Tally } from './record.ts';
import type { SftpHost } from './sftp-host.ts';
import { FX, FXP, statusPacket } from './sftp-messages.ts';
import type { Work } from './work.ts';

const HANDLES_MAX = 1_000;

interface Handle {
  readonly file: FileFacts;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly tally: Tally;
  readonly isDirectory: boolean;
  readonly scan: ContentScan | undefined;
  /** Of the content in the order of the file; undefined once it was not read or written from front to back. */
  hash: Hash | undefined;
  next: bigint;
}

/** What the client is told. */
export interface SftpClient {
  no(id: number, code: number, message: string): undefined;
  say(text: string): void;
}

export class SftpHandles {
  readonly #work: Work;
  readonly #host: SftpHost;
  readonly #client: SftpClient;
  readonly #handles = new Map<string, Handle>();

  constructor(work: Work, host: SftpHost, client: SftpClient) {
    this.#work = work;
    this.#host = host;
    this.#client = client;
  }

  /** The host is asked to open what was permitted. */
  open(id: number, packet: Buffer, made: Omit<Handle, 'hash' | 'next'>): void {
    if (this.#handles.size >= HANDLES_MAX) return this.#client.no(id, FX.failure, 'too many open files');
    this.#host.forward(id, packet, (answer) => {
      if (answer[0] === FXP.handle) {
        const name = new Reader(answer, 5).string().toString('latin1');
        this.#handles.set(name, { ...made, hash: createHash('sha256'), next: 0n });
        return;
      }
      made.tally.error = 'upstream';
      made.tally.finish(this.#work.host.monotonicUs());
    });
  }

  /** @param name as the host gave it */
  file(name: Buffer): FileFacts | undefined {
    return this.#handles.get(name.toString('latin1'))?.file;
  }

  /** A request about an open file or directory. */
  request(type: number, id: number, packet: Buffer, reader: Reader): undefined {
    const name = reader.string().toString('latin1');
    const handle = this.#handles.get(name);
    if (handle === undefined) return this.#client.no(id, FX.failure, 'no such handle');
    switch (type) {
      case FXP.read: {
        const max = this.#work.signed.resource.ssh?.downloadBytesMax;
        if (!handle.reads) return this.#client.no(id, FX.permissionDenied, 'not opened for reading');
        if (max !== undefined && handle.tally.bytes > max) return this.tooLarge(id, handle.tally);
        const offset = reader.uint64();
        this.#host.forward(id, packet, (answer) => this.#readAnswered(handle, offset, answer));
        return undefined;
      }
      case FXP.write: {
        if (!handle.writes) return this.#client.no(id, FX.permissionDenied, 'not opened for writing');
        const offset = reader.uint64();
        this.#moved(handle, offset, reader.string());
        this.#host.forward(id, packet);
        return undefined;
      }
      case FXP.close:
        this.#handles.delete(name);
        this.#host.forward(id, packet, () => this.#closed(handle));
        return undefined;
      default:
        this.#host.forward(id, packet);
        return undefined;
    }
  }

  /** The client is told that a file is larger than may be downloaded. */
  tooLarge(id: number, tally: Tally): undefined {
    tally.error = 'policy.denied';
    this.#client.say('Sallyport: the file is larger than may be downloaded here.\n');
    return this.#client.no(id, FX.permissionDenied, 'too large');
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
      if (handle.tally.error === '') this.#client.say(`Sallyport: the file ${why}.\n`);
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

  /** The host is gone. */
  closeAll(): void {
    for (const handle of this.#handles.values()) this.#closed(handle);
    this.#handles.clear();
  }
}
