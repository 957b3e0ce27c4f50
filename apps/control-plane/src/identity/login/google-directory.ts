/**
 * Groups of a Google Workspace account by the Admin SDK's Directory API, since Google's id tokens carry none: a service
 * account with domain-wide delegation asks as an administrator (developers.google.com, "Using OAuth 2.0 for Server to
 * Server Applications"; "Directory API: groups.list"). Refuses half an answer.
 */
import { GatewayError, LIMITS, Secret } from '@sallyport/core';
import { importPKCS8, SignJWT } from 'jose';
import { z } from 'zod';
import type { GroupsSource } from './groups-source.ts';
import type { ProviderHttp } from './provider-fetch.ts';

const SCOPE = 'https://www.googleapis.com/auth/admin.directory.group.readonly';
const PAGE = 200;
const ASSERTION_S = 300;

export const GoogleDirectoryConfig = z.strictObject({
  kind: z.literal('google_directory'),
  serviceAccount: z.email().max(200).describe('Its e-mail; it needs domain-wide delegation for the group scope.'),
  actAs: z.email().max(200).describe('An administrator whose right to read groups it uses.'),
});
export type GoogleDirectoryConfig = z.infer<typeof GoogleDirectoryConfig>;

export interface GoogleEndpoints {
  readonly token: string;
  readonly directory: string;
}
const GOOGLE: GoogleEndpoints = {
  token: 'https://oauth2.googleapis.com/token',
  directory: 'https://admin.googleapis.com/admin/directory/v1',
};

const TokenAnswer = z.object({ access_token: z.string() });
const GroupsAnswer = z.object({
  groups: z.array(z.object({ email: z.string() })).optional(),
  nextPageToken: z.string().optional(),
});

const refuse = (reason: string, status = 0): never => {
  throw new GatewayError('auth.provider_unavailable', { directory: 'google', reason, status });
};

export class GoogleDirectory implements GroupsSource {
  readonly #config: GoogleDirectoryConfig;
  readonly #key: Secret<string>;
  readonly #http: ProviderHttp;
  readonly #nowMs: () => number;
  readonly #endpoints: GoogleEndpoints;
  #token: { readonly value: Secret<string>; readonly untilMs: number } | undefined;

  constructor(
    config: GoogleDirectoryConfig,
    key: Secret<string>,
    http: ProviderHttp,
    nowMs: () => number,
    endpoints = GOOGLE,
  ) {
    this.#config = config;
    this.#key = key;
    this.#http = http;
    this.#nowMs = nowMs;
    this.#endpoints = endpoints;
  }

  async groupsOf(person: { readonly email: string | undefined }): Promise<readonly string[]> {
    if (person.email === undefined) return refuse('the person has no e-mail address');
    const groups: string[] = [];
    let page: string | undefined;
    do {
      const url = new URL(`${this.#endpoints.directory}/groups`);
      url.searchParams.set('userKey', person.email);
      url.searchParams.set('maxResults', String(PAGE));
      if (page !== undefined) url.searchParams.set('pageToken', page);
      const response = await this.#get(url);
      if (response.status !== 200) return refuse('groups.list', response.status);
      const answer = GroupsAnswer.parse(await response.json());
      groups.push(...(answer.groups ?? []).map((group) => group.email.toLowerCase()));
      if (groups.length > LIMITS.groupsPerSignInMax)
        throw new GatewayError('auth.groups_overage', { sent: groups.length });
      page = answer.nextPageToken;
    } while (page !== undefined);
    return groups;
  }

  /** A token that was taken back before its time is replaced once. */
  async #get(url: URL): Promise<Response> {
    const ask = async (): Promise<Response> => {
      const token = await this.#accessToken();
      return await this.#http.fetch(url.href, { headers: { authorization: `Bearer ${token.reveal()}` } });
    };
    const response = await ask();
    if (response.status !== 401) return response;
    this.#token = undefined;
    return await ask();
  }

  async #accessToken(): Promise<Secret<string>> {
    const now = this.#nowMs();
    if (this.#token !== undefined && this.#token.untilMs > now) return this.#token.value;
    const key = await importPKCS8(this.#key.reveal(), 'RS256');
    const iat = Math.floor(now / 1000);
    const assertion = await new SignJWT({ scope: SCOPE })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(this.#config.serviceAccount)
      .setSubject(this.#config.actAs)
      .setAudience(this.#endpoints.token)
      .setIssuedAt(iat)
      .setExpirationTime(iat + ASSERTION_S)
      .sign(key);
    const response = await this.#http.fetch(this.#endpoints.token, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }),
    });
    if (response.status !== 200) return refuse('token', response.status);
    const value = new Secret(TokenAnswer.parse(await response.json()).access_token);
    this.#token = { value, untilMs: now + ASSERTION_S * 1000 };
    return value;
  }
}
