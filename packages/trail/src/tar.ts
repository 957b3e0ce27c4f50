/**
 * The part of ustar that an export needs: regular files, in order, any size below 8 GiB. Refuses links, directories and
 * extensions, so that an archive has one reading. POSIX.1-1988 ustar interchange format.
 */
import { broken } from './bytes.ts';

const BLOCK = 512;
const NAME_BYTES = 100;

export interface TarEntry {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Header, content and padding of one file. @throws GatewayError `trail.broken` (`archive`) for a name too long */
export function tarEntry(name: string, bytes: Uint8Array, timeMs: number): Buffer {
  const [prefix, rest] = splitName(name);
  const header = Buffer.alloc(BLOCK);
  header.write(rest, 0, 'utf8');
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write(
    `${Math.floor(timeMs / 1000)
      .toString(8)
      .padStart(11, '0')}\0`,
    136,
  );
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  header.write(prefix, 345, 'utf8');
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK);
  return Buffer.concat([header, bytes, padding]);
}

/** What ends an archive. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK);

/**
 * Reads entries from chunks of any size; one entry is in memory at a time.
 * @param entryBytesMax an entry larger than this is refused
 * @throws GatewayError `trail.broken` (`archive`) when malformed or cut short
 */
export async function* readTar(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  entryBytesMax: number,
): AsyncGenerator<TarEntry> {
  const input = new ByteQueue(chunks);
  for (;;) {
    const header = await input.take(BLOCK);
    if (header === undefined) throw broken('archive');
    if (header.every((byte) => byte === 0)) return;
    const entry = parseHeader(header);
    if (entry.size > entryBytesMax) throw broken('archive', { entry: entry.name });
    const padded = Math.ceil(entry.size / BLOCK) * BLOCK;
    const content = await input.take(padded);
    if (content === undefined) throw broken('archive', { entry: entry.name });
    yield { name: entry.name, bytes: content.subarray(0, entry.size) };
  }
}

function parseHeader(header: Buffer): { readonly name: string; readonly size: number } {
  const field = (at: number, length: number): string => {
    const raw = header.subarray(at, at + length);
    const end = raw.indexOf(0);
    return raw.toString('utf8', 0, end < 0 ? length : end);
  };
  const size = field(124, 12).trim();
  const sum = field(148, 8).trim();
  const type = header[156];
  const ours = header.toString('ascii', 257, 262) === 'ustar' && (type === 0x30 || type === 0);
  if (!ours || !/^[0-7]+$/.test(size) || Number.parseInt(sum, 8) !== checksum(header)) throw broken('archive');
  const prefix = field(345, 155);
  return { name: prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`, size: Number.parseInt(size, 8) };
}

/** The sum of all bytes with the sum's own field as spaces. */
function checksum(header: Buffer): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i]!;
  return sum;
}

function splitName(name: string): readonly [prefix: string, rest: string] {
  if (Buffer.byteLength(name) <= NAME_BYTES) return ['', name];
  const cut = name.lastIndexOf('/');
  const [prefix, rest] = [name.slice(0, cut), name.slice(cut + 1)];
  if (cut < 0 || Buffer.byteLength(prefix) > 155 || Buffer.byteLength(rest) > NAME_BYTES) throw broken('archive');
  return [prefix, rest];
}

class ByteQueue {
  readonly #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);
  constructor(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.#source = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }
  /** Exactly `size` bytes, or undefined when the source ends before. */
  async take(size: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [this.#held];
    let have = this.#held.length;
    while (have < size) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      const piece = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      pieces.push(piece);
      have += piece.length;
    }
    const all = pieces.length === 1 ? this.#held : Buffer.concat(pieces);
    this.#held = all.subarray(size);
    return all.subarray(0, size);
  }
}
