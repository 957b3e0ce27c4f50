/**
 * One JSON or form question over HTTPS to a store: bounded in time and size, with a CA of its own when one is given.
 * Refuses redirects (a token would travel with them), and to put an answer's body into an error.
 */
import http from 'node:http';
import https from 'node:https';
import type { Secret } from '@sallyport/core';

const ANSWER_BYTES_MAX = 256 * 1024;

export interface HttpAsk {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Instead of a JSON body. */
  readonly form?: URLSearchParams;
  /** PEM of the CAs to trust; the system's when absent. */
  readonly ca?: string | readonly string[] | undefined;
  /** The name to verify where it is not the URL's host. */
  readonly serverName?: string | undefined;
  /** Whoever answers: encrypted, and not verified. */
  readonly anyServer?: boolean | undefined;
  /** PEM of a client certificate and its key. */
  readonly client?: Secret<string> | undefined;
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Parsed; undefined for an empty or unreadable body. */
  readonly body: unknown;
}

/** @throws Error of the socket, or one that names a limit */
export function askHttp(ask: HttpAsk): Promise<HttpAnswer> {
  const text = ask.form?.toString() ?? (ask.body === undefined ? undefined : JSON.stringify(ask.body));
  const type = ask.form === undefined ? 'application/json' : 'application/x-www-form-urlencoded';
  const pem = ask.client?.reveal();
  return new Promise((resolve, reject) => {
    const options: https.RequestOptions = {
      method: ask.method,
      headers: {
        ...ask.headers,
        accept: 'application/json',
        ...(text === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) }),
      },
      minVersion: 'TLSv1.2',
      ...(ask.ca === undefined ? {} : { ca: typeof ask.ca === 'string' ? ask.ca : [...ask.ca] }),
      ...(ask.serverName === undefined ? {} : { servername: ask.serverName }),
      ...(ask.anyServer === true ? { rejectUnauthorized: false } : {}),
      ...(pem === undefined ? {} : { key: pem, cert: pem }),
      signal: AbortSignal.timeout(ask.timeoutMs),
      agent: false,
    };
    const client = ask.url.protocol === 'https:' ? https : http;
    const request = client.request(ask.url, options, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > ANSWER_BYTES_MAX) request.destroy(new Error('the answer is too large'));
        else parts.push(part);
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(parts)) }));
    });
    request.on('error', reject);
    request.end(text);
  });
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // Not JSON: the status alone is what such an answer says.
    return undefined;
  }
}
