/** The few REST calls a stack's scripts make. Refuses to hide a problem: what the control plane says is thrown as it came. */
export interface Rest {
  call<T = unknown>(method: string, path: string, body?: unknown): Promise<T>;
  /** The same control plane, as somebody else. */
  as(token: string): Rest;
}

export class RestError extends Error {
  override readonly name = 'RestError';
  readonly status: number;
  readonly code: string;
  constructor(method: string, path: string, status: number, text: string) {
    super(`${method} ${path} → ${status} ${text}`);
    this.status = status;
    let code = '';
    try {
      code = (JSON.parse(text) as { code?: string }).code ?? '';
    } catch {
      code = 'not-json';
    }
    this.code = code;
  }
}

/** @param base as `http://127.0.0.1:7400` */
export function restClient(base: string, token?: string): Rest {
  return {
    as: (other) => restClient(base, other),
    call: async <T>(method: string, path: string, body?: unknown): Promise<T> => {
      const response = await fetch(base + path, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new RestError(method, path, response.status, text);
      return (text === '' ? undefined : JSON.parse(text)) as T;
    },
  };
}

/** An API session token for a service or AI agent, by the client-credentials grant. */
export async function clientToken(base: string, clientId: string, clientSecret: string): Promise<string> {
  return (await oauth(base, { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }))
    .access_token;
}

/** An access token for one resource, from an API token (RFC 8693); `actor` acts for the subject. */
export async function accessToken(base: string, subject: string, resource: string, actor?: string): Promise<string> {
  const type = 'urn:ietf:params:oauth:token-type:access_token';
  const answer = await oauth(base, {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subject,
    subject_token_type: type,
    resource,
    ...(actor === undefined ? {} : { actor_token: actor, actor_token_type: type }),
  });
  return answer.access_token;
}

async function oauth(base: string, form: Record<string, string>): Promise<{ readonly access_token: string }> {
  const response = await fetch(`${base}/v1/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
  const text = await response.text();
  if (!response.ok) throw new RestError('POST', '/v1/oauth/token', response.status, text);
  return JSON.parse(text) as { access_token: string };
}
