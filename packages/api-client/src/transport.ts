/**
 * One HTTP exchange with the control plane over `fetch`. Refuses to know routes; refuses to follow a redirect, which could
 * carry the token to another host. Works in Node and in a browser.
 */
import { ApiError, problemOf, proposedAs } from './api-error.ts';

export type QueryValue = string | number | boolean | readonly string[] | undefined;
export type Query = Readonly<Record<string, QueryValue>>;

export interface RequestParts {
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as a form; for /v1/oauth. */
  readonly form?: Readonly<Record<string, string | undefined>>;
  /** Without the caller's token. */
  readonly anonymous?: boolean;
  readonly signal?: AbortSignal;
  /** Milliseconds until the first byte of the answer; none for a stream that may stay silent. */
  readonly timeoutMs?: number | undefined;
}

export interface TransportOptions {
  /** As `https://sallyport.example`; a path is kept. */
  readonly baseUrl: string;
  /** Asked for at each request, so that a renewed token is used at once. */
  readonly token?: () => string | undefined | Promise<string | undefined>;
  /** Name of the project that calls mean; a token of another one is then refused. */
  readonly project?: string | undefined;
  readonly userAgent?: string;
  readonly fetch?: typeof fetch;
}

export interface Transport {
  readonly baseUrl: string;
  /** @throws ApiError; with status 0 and code `control_plane.unreachable` or `control_plane.untrusted` when there is no answer */
  json<T>(method: string, path: string, parts?: RequestParts): Promise<T>;
  /** The answer itself, 2xx, body unread. */
  raw(method: string, path: string, parts?: RequestParts): Promise<Response>;
}

const TIMEOUT_MS = 30_000;

export function createTransport(options: TransportOptions): Transport {
  const base = options.baseUrl.replace(/\/+$/, '');
  const call = options.fetch ?? fetch;

  const raw = async (method: string, path: string, parts: RequestParts = {}): Promise<Response> => {
    const headers = new Headers({ accept: 'application/json, application/problem+json' });
    if (options.userAgent !== undefined) headers.set('user-agent', options.userAgent);
    const token = parts.anonymous === true ? undefined : await options.token?.();
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
    if (token !== undefined && options.project !== undefined) headers.set('sallyport-project', options.project);
    if (parts.body !== undefined) headers.set('content-type', 'application/json');
    if (parts.form !== undefined) headers.set('content-type', 'application/x-www-form-urlencoded');
    const timer = new AbortController();
    const timeoutMs = 'timeoutMs' in parts ? parts.timeoutMs : TIMEOUT_MS;
    const timeout =
      timeoutMs === undefined ? undefined : setTimeout(() => timer.abort(new Error('timeout')), timeoutMs);
    const signals = parts.signal === undefined ? [timer.signal] : [timer.signal, parts.signal];
    let response: Response;
    try {
      response = await call(base + path + queryText(parts.query), {
        method,
        headers,
        redirect: 'manual',
        signal: AbortSignal.any(signals),
        ...(parts.body === undefined ? {} : { body: JSON.stringify(parts.body) }),
        ...(parts.form === undefined ? {} : { body: formText(parts.form) }),
      });
    } catch (cause) {
      if (parts.signal?.aborted === true) throw cause;
      throw new ApiError(
        isDistrust(cause)
          ? { code: 'control_plane.untrusted', status: 0, title: `The certificate of ${base} is not trusted.` }
          : { code: 'control_plane.unreachable', status: 0, title: `The control plane at ${base} did not answer.` },
        { cause },
      );
    } finally {
      clearTimeout(timeout);
    }
    if (!response.ok) throw await problemOf(response);
    const proposal = response.headers.get('sallyport-change-proposal');
    if (proposal !== null) throw proposedAs(proposal);
    return response;
  };

  return {
    baseUrl: base,
    raw,
    json: async <T>(method: string, path: string, parts?: RequestParts): Promise<T> => {
      const response = await raw(method, path, parts);
      const text = await response.text();
      if (text === '') return undefined as T;
      try {
        return JSON.parse(text) as T;
      } catch (cause) {
        const title = `What answers at ${base} is not a control plane.`;
        throw new ApiError({ code: 'control_plane.unexpected', status: response.status, title }, { cause });
      }
    },
  };
}

/** Whether fetch failed on the certificate: codes of X509_V_ERR and of Node's own check of the name. */
function isDistrust(error: unknown): boolean {
  const code = (error as { readonly cause?: { readonly code?: unknown } } | undefined)?.cause?.code;
  return typeof code === 'string' && /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_)/.test(code);
}

function queryText(query: Query | undefined): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) search.append(key, String(one));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function formText(form: Readonly<Record<string, string | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(form)) if (value !== undefined) search.append(key, value);
  return search.toString();
}
