/**
 * The token endpoint: client credentials, device flow (RFC 8628) and token exchange (RFC 8693).
 * Refuses to keep a token: the caller decides where it lives.
 */
import { ApiError } from './api-error.ts';
import type { Transport } from './transport.ts';

export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: string;
  /** Seconds. */
  readonly expires_in?: number;
  readonly issued_token_type?: string;
}

export interface DeviceAuthorization {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete?: string;
  /** Seconds. */
  readonly expires_in: number;
  /** Seconds between polls; 5 when left out (RFC 8628 section 3.2). */
  readonly interval?: number;
}

export interface ExchangeRequest {
  /** API or session token of who the access is for. */
  readonly subjectToken: string;
  /** Resource name or id. */
  readonly resource: string;
  /** Token of the service or AI agent that acts for the subject. */
  readonly actorToken?: string | undefined;
  readonly role?: string | undefined;
  /** Why, in the requester's words; it stands in the token. */
  readonly reason?: string | undefined;
  /** RFC 7638 thumbprint of a key: whoever shows the token has to prove it. */
  readonly keyThumbprint?: string | undefined;
}

export interface AuthorizeRequest {
  readonly redirectUri: string;
  /** S256 of the verifier, base64url. */
  readonly codeChallenge: string;
  readonly state: string;
  readonly provider?: string | undefined;
  readonly project?: string | undefined;
  readonly maxAgeS?: number | undefined;
  readonly acrValues?: string | undefined;
}

export interface OAuthApi {
  clientCredentials(clientId: string, clientSecret: string): Promise<TokenAnswer>;
  /** @param project name of the one to sign in to; `default` when left out */
  startDevice(project?: string): Promise<DeviceAuthorization>;
  /** Polls until a person has answered. @throws ApiError with `oauthError` `access_denied` or `expired_token` */
  awaitDevice(device: DeviceAuthorization, wait: (ms: number) => Promise<void>): Promise<TokenAnswer>;
  /** A code that came to this program on loopback (RFC 8252). */
  redeemCode(code: string, redirectUri: string, codeVerifier: string): Promise<TokenAnswer>;
  /** Where a browser asks the person to let this program in. */
  authorizeUrl(baseUrl: string, request: AuthorizeRequest): string;
  /** An access token that opens sessions on one resource for minutes. */
  exchange(request: ExchangeRequest): Promise<TokenAnswer>;
}

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const DEVICE_POLL_SECONDS = 5;

export function oauthApi(transport: Transport, deviceClient: string): OAuthApi {
  const token = (form: Readonly<Record<string, string | undefined>>): Promise<TokenAnswer> =>
    transport.json<TokenAnswer>('POST', '/v1/oauth/token', { form, anonymous: true });

  return {
    clientCredentials: (clientId, clientSecret) =>
      token({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }),
    startDevice: (project) =>
      transport.json('POST', '/v1/oauth/device_authorization', {
        form: { client_id: deviceClient, project },
        anonymous: true,
      }),
    awaitDevice: async (device, wait) => {
      let seconds = device.interval ?? DEVICE_POLL_SECONDS;
      for (;;) {
        await wait(seconds * 1000);
        try {
          return await token({
            grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
            device_code: device.device_code,
            client_id: deviceClient,
          });
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          // RFC 8628 section 3.5: slow_down asks for five seconds more from then on.
          if (error.oauthError === 'slow_down') seconds += DEVICE_POLL_SECONDS;
          else if (error.oauthError !== 'authorization_pending') throw error;
        }
      }
    },
    redeemCode: (code, redirectUri, codeVerifier) =>
      token({
        grant_type: 'authorization_code',
        client_id: deviceClient,
        code,
        redirect_uri: redirectUri,
        code_verifier: codeVerifier,
      }),
    authorizeUrl: (baseUrl, request) => {
      const { provider, project, maxAgeS, acrValues } = request;
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: deviceClient,
        redirect_uri: request.redirectUri,
        code_challenge: request.codeChallenge,
        code_challenge_method: 'S256',
        state: request.state,
        ...(provider === undefined ? {} : { provider }),
        ...(project === undefined ? {} : { project }),
        ...(maxAgeS === undefined ? {} : { max_age: String(maxAgeS) }),
        ...(acrValues === undefined ? {} : { acr_values: acrValues }),
      });
      return `${baseUrl}/v1/oauth/authorize?${query.toString()}`;
    },
    exchange: (request) =>
      token({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: request.subjectToken,
        subject_token_type: ACCESS_TOKEN,
        resource: request.resource,
        actor_token: request.actorToken,
        actor_token_type: request.actorToken === undefined ? undefined : ACCESS_TOKEN,
        role: request.role,
        reason: request.reason,
        cnf_jkt: request.keyThumbprint,
      }),
  };
}
