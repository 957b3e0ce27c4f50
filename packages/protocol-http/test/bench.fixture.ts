/** A gateway for HTTP over a real listener and a real service, and a client on a raw socket. Dev-only. */
import net from 'node:net';
import { createHttpDoor } from '@sallyport/http-session';
import type { HttpTarget, Resource } from '@sallyport/model';
import { type Gateway, type GatewayOptions, startGateway, TEST_TOKEN, testHttpResource } from '@sallyport/testkit';
import { httpDialect } from '../src/index.ts';

export function startHttpGateway(
  url: string,
  options: Partial<GatewayOptions> = {},
  http: Partial<HttpTarget> = {},
  extra: Partial<Resource> = {},
): Promise<Gateway> {
  return startGateway({
    adapter: createHttpDoor([httpDialect]),
    resource: testHttpResource({ url, ...http }, extra),
    credential: { username: '', secret: undefined, certificate: false },
    ...options,
  });
}

export const SIGNED = `authorization: Bearer ${TEST_TOKEN}\r\n`;
export const PREFIX = '/r/payments-api';

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

/** Bytes in, bytes out: what no HTTP client would send can be sent. */
export class RawClient {
  readonly socket: net.Socket;
  #bytes = Buffer.alloc(0);
  #closed = false;
  #waiting: (() => void)[] = [];

  constructor(port: number) {
    this.socket = net.connect({ host: '127.0.0.1', port });
    this.socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const gone = (): void => {
      this.#closed = true;
      this.#wake();
    };
    this.socket.on('error', gone);
    this.socket.on('end', gone);
    this.socket.on('close', gone);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** All that has come and was not taken. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  send(text: string | Buffer): void {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  async until(done: () => boolean, waitMs = 15_000): Promise<void> {
    const timer = setTimeout(() => this.#wake(), waitMs);
    const end = Date.now() + waitMs;
    while (!done() && !this.#closed) {
      if (Date.now() >= end) throw new Error(`nothing came: ${this.#bytes.toString('latin1').slice(0, 500)}`);
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
    clearTimeout(timer);
  }

  /** Takes one answer: by its length, its chunks, or the connection's end. */
  async answer(): Promise<RawAnswer> {
    await this.until(() => this.#bytes.includes('\r\n\r\n'));
    const at = this.#bytes.indexOf('\r\n\r\n');
    if (at === -1) throw new Error('closed without an answer');
    const head = this.#bytes.subarray(0, at).toString('latin1');
    const status = Number(head.split(' ')[1]);
    const from = at + 4;
    const length = /\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (/\ntransfer-encoding: chunked/i.test(head)) {
      await this.until(() => this.#bytes.includes('\r\n0\r\n\r\n', from - 2));
      const end = this.#bytes.indexOf('0\r\n\r\n', from);
      const body = unchunk(this.#bytes.subarray(from));
      this.#bytes = this.#bytes.subarray(end === -1 ? this.#bytes.length : end + 5);
      return { status, head, body };
    }
    const size = length === undefined ? 0 : Number(length);
    await this.until(() => this.#bytes.length >= from + size);
    const body = this.#bytes.subarray(from, from + size);
    this.#bytes = this.#bytes.subarray(from + size);
    return { status, head, body };
  }

  /** @param statement `METHOD target`, behind the resource's prefix */
  ask(statement: string, headers = SIGNED, body = ''): Promise<RawAnswer> {
    this.push(statement, headers, body);
    return this.answer();
  }

  push(statement: string, headers = SIGNED, body = ''): void {
    const [method = 'GET', target = '/'] = statement.split(' ');
    const length = body === '' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`;
    this.send(`${method} ${PREFIX}${target} HTTP/1.1\r\nhost: agent\r\n${headers}${length}\r\n${body}`);
  }

  async closed(): Promise<void> {
    await this.until(() => this.#closed);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, end).toString('latin1'), 16);
    if (end === -1 || !(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
