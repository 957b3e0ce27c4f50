/**
 * One kept HTTP/1.1 connection that says the same request again and again and times each answer: a client so light that what is
 * measured is what stands behind it. Refuses chunked trailers, 1xx and all that no measured service says.
 */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

export interface LineTarget {
  /** `http://host:port` or `https://host:port`, whose certificate nobody checks here. */
  readonly base: string;
  readonly method?: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export const requestBytes = ({ base, method = 'GET', path, headers, body = '' }: LineTarget): Buffer => {
  const all = {
    host: new URL(base).host,
    ...headers,
    ...(body === '' ? {} : { 'content-length': String(body.length) }),
  };
  const fields = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${fields.join('')}\r\n${body}`);
};

export async function dial(base: string): Promise<net.Socket> {
  const { protocol, hostname, port } = new URL(base);
  const to = { host: hostname, port: Number(port) };
  const socket =
    protocol === 'https:'
      ? tls.connect({ ...to, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      : net.connect(to);
  await once(socket, protocol === 'https:' ? 'secureConnect' : 'connect');
  socket.setNoDelay(true);
  return socket;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

export class KeptLine {
  readonly #socket: net.Socket;
  readonly #request: Buffer;
  #answer: Buffer[] = [];
  #size = 0;
  /** Bytes of the answer, head included; 0 until its head is read, -1 when chunks say where it ends. */
  #wanted = 0;
  #started = 0;
  #done: ((ms: number) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: net.Socket, request: Buffer) {
    this.#socket = socket;
    this.#request = request;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new Error('the connection was closed')));
  }

  static async open(target: LineTarget): Promise<KeptLine> {
    return new KeptLine(await dial(target.base), requestBytes(target));
  }

  /** @returns milliseconds until the answer's last byte. @throws Error when it is none of 2xx */
  ask(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#started = performance.now();
      this.#socket.write(this.#request);
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    this.#answer.push(bytes);
    this.#size += bytes.length;
    if (this.#wanted === 0) this.#head();
    const ended =
      this.#wanted === -1
        ? Buffer.concat(this.#answer.slice(-2)).subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)
        : this.#wanted > 0 && this.#size >= this.#wanted;
    if (!ended) return;
    const status = this.#answer[0]!.toString('latin1', 9, 12);
    const all = status.startsWith('2') ? '' : Buffer.concat(this.#answer).toString();
    this.#answer = [];
    this.#size = this.#wanted = 0;
    if (all === '') this.#done?.(performance.now() - this.#started);
    else this.#failed?.(new Error(all.slice(0, 2_000)));
  }

  #head(): void {
    const read = this.#answer.length === 1 ? this.#answer[0]! : Buffer.concat(this.#answer);
    const end = read.indexOf(HEAD_END);
    if (end < 0) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(read.toString('latin1', 0, end))?.[1];
    this.#wanted = length === undefined ? -1 : end + HEAD_END.length + Number(length);
  }
}

/** @returns the value below which that share of them lies */
export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};
