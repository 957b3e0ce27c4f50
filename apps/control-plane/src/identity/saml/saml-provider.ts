/**
 * One identity provider by SAML 2.0: signed requests by redirect, answers by POST. verify-response.ts checks them, in a thread.
 * Keeps the provider's metadata an hour, and reads it again when a signature does not hold: it may have rolled its key over.
 */
import { createHash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import type { ProviderHttp } from '../login/provider-fetch.ts';
import type { GroupMapping } from '../mapping/group-mapping.ts';
import { type Claims, claimAt, readGroups } from '../mapping/read-groups.ts';
import type {
  IdentityProvider,
  ProvenPerson,
  ProviderAnswer,
  ProviderCheck,
  ReadClaims,
  SignInAsk,
  SignInChecks,
} from '../providers.ts';
import type { AssertionFacts } from './assertion-facts.ts';
import { type IdpMetadata, parseIdpMetadata, requireCertificate } from './idp-metadata.ts';
import { SAML } from './libraries.ts';
import {
  type LogoutOrder,
  logoutRequestUrl,
  logoutResponseUrl,
  readLogoutRequest,
  type SignedInAs,
} from './logout-messages.ts';
import type { SamlConfig } from './saml-config.ts';
import type { OurKeys } from './saml-keys.ts';
import { spMetadata } from './sp-metadata.ts';
import type { VerifyThread } from './verify-thread.ts';

export interface SamlSettings {
  readonly projectId: string;
  readonly name: string;
  readonly displayName: string;
  readonly mapping: GroupMapping;
  readonly config: SamlConfig;
  /** `/v1/saml/<address>`. */
  readonly basePath: string;
  /** Without a slash at the end; known once we listen. */
  readonly publicUrl: () => string;
  readonly keys: () => Promise<OurKeys>;
  readonly http: ProviderHttp;
  readonly thread: Pick<VerifyThread, 'verify'>;
  readonly nowMs: () => number;
}

const METADATA_KEPT_MS = 60 * 60_000;
/** When it cannot be read again, the last one serves this long. */
const METADATA_STALE_MS = 24 * 60 * 60_000;
const REREAD_EVERY_MS = 60_000;
const TRANSIENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient';
const TEXTS_MAX = 20;
const MAILS = [
  'mail',
  'email',
  'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress',
  'urn:oid:0.9.2342.19200300.100.1.3',
];
const NAMES = [
  'displayName',
  'http://schemas.microsoft.com/identity/claims/displayname',
  'urn:oid:2.16.840.1.113730.3.1.241',
  'cn',
  'urn:oid:2.5.4.3',
];

/** Our request's id, which both halves of a sign-in can work out and nobody else. An NCName (SAML Core §1.3.4). */
export const requestIdOf = (nonce: string): string => `_${createHash('sha256').update(`saml/${nonce}`).digest('hex')}`;

export class SamlIdentityProvider implements IdentityProvider {
  readonly kind = 'saml';
  readonly linksByName = false;
  readonly #settings: SamlSettings;
  #metadata: IdpMetadata | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: SamlSettings) {
    this.#settings = settings;
  }
  get name(): string {
    return this.#settings.name;
  }
  get displayName(): string {
    return this.#settings.displayName;
  }
  get projectId(): string {
    return this.#settings.projectId;
  }
  get mapping(): GroupMapping {
    return this.#settings.mapping;
  }
  get sessionS(): number {
    return this.#settings.config.sessionSeconds;
  }
  /** SAML has no way to ask again without the browser. */
  readonly refreshS = undefined;
  get callbackPath(): string {
    return `${this.#settings.basePath}/acs`;
  }
  get takesUnasked(): boolean {
    return this.#settings.config.idpInitiated;
  }
  get entityId(): string {
    return this.#settings.config.spEntityId ?? `${this.#settings.publicUrl()}${this.#settings.basePath}/metadata`;
  }
  get #acsUrl(): string {
    return `${this.#settings.publicUrl()}${this.callbackPath}`;
  }
  get #sloUrl(): string {
    return `${this.#settings.publicUrl()}${this.#settings.basePath}/slo`;
  }

  /** Our metadata, for the provider. */
  async ownMetadata(): Promise<string> {
    const { all } = await this.#settings.keys();
    const { nameIdFormat } = this.#settings.config;
    const certificates = all.map((key) => key.certificate);
    return spMetadata({
      entityId: this.entityId,
      acsUrl: this.#acsUrl,
      sloUrl: this.#sloUrl,
      certificates,
      nameIdFormat,
    });
  }

  async begin(_redirectUri: string, checks: SignInChecks, ask: SignInAsk): Promise<URL> {
    const { ssoUrl } = await this.metadata();
    const { signing } = await this.#settings.keys();
    const contexts = ask.acrValues?.split(' ');
    const saml = new SAML({
      issuer: this.entityId,
      callbackUrl: this.#acsUrl,
      entryPoint: ssoUrl,
      idpCert: signing.certificate,
      privateKey: signing.privateKey.reveal().toString(),
      signatureAlgorithm: 'sha256',
      generateUniqueId: () => requestIdOf(checks.nonce),
      identifierFormat: this.#settings.config.nameIdFormat ?? null,
      forceAuthn: ask.maxAgeS !== undefined,
      ...(contexts === undefined
        ? { disableRequestedAuthnContext: true }
        : { authnContext: contexts, racComparison: 'exact' as const }),
    });
    return new URL(await saml.getAuthorizeUrlAsync(checks.state, undefined, {}));
  }

  async finish(answer: ProviderAnswer, checks: SignInChecks, ask: SignInAsk): Promise<ProvenPerson> {
    const facts = await this.#verify(answer, requestIdOf(checks.nonce));
    const { skewMs } = this.#times;
    if (ask.maxAgeS !== undefined && facts.authTimeMs < this.#settings.nowMs() - ask.maxAgeS * 1000 - skewMs)
      throw new GatewayError('auth.failed', { reason: 'the sign-in there is not fresh' });
    return this.#person(facts);
  }

  /** An answer that nobody here asked for, where that is allowed. */
  async finishUnasked(answer: ProviderAnswer): Promise<ProvenPerson> {
    if (!this.takesUnasked) throw new GatewayError('auth.failed', { reason: 'an answer that nobody asked for' });
    return this.#person(await this.#verify(answer, undefined));
  }

  async #verify(answer: ProviderAnswer, requestId: string | undefined): Promise<AssertionFacts> {
    const response = answer.form?.['SAMLResponse'];
    if (response === undefined) throw new GatewayError('auth.failed', { reason: 'no answer' });
    const check = async (): Promise<AssertionFacts> => {
      const { certificates } = await this.metadata();
      const trust = { config: this.#settings.config, certificates, keys: this.#settings.keys };
      return await this.#settings.thread.verify(response, trust, {
        issuer: this.#settings.config.entityId,
        audience: this.entityId,
        recipient: this.#acsUrl,
        requestId,
        ...this.#times,
      });
    };
    const before = (await this.metadata()).certificates.join();
    return await check().catch(async (error: unknown) => {
      if (!this.#forget() || (await this.metadata()).certificates.join() === before) throw error;
      return await check();
    });
  }

  /** Whether the NameID is who the person is here. */
  get subjectIsNameId(): boolean {
    return this.#settings.config.subjectAttribute === undefined;
  }

  /** A provider's order to end sign-ins. @throws Error whatever is wrong with it */
  async logoutOrder(query: string): Promise<LogoutOrder> {
    const { certificates } = await this.metadata();
    const { entityId: issuer } = this.#settings.config;
    return readLogoutRequest(query, { issuer, destination: this.#sloUrl, certificates, ...this.#times });
  }

  /** Where to send the browser with our answer; undefined where the provider has no place for it. */
  async logoutAnswer({ id, relayState }: LogoutOrder): Promise<URL | undefined> {
    const to = await this.#logoutAt();
    return to === undefined ? undefined : logoutResponseUrl({ ...to, relayState }, id);
  }

  /** @param kept what `#person` had kept of the assertion */
  async signOut(kept: string | undefined): Promise<URL | undefined> {
    const to = kept === undefined ? undefined : await this.#logoutAt();
    return to === undefined ? undefined : logoutRequestUrl(to, JSON.parse(kept!) as SignedInAs);
  }

  async #logoutAt() {
    const { sloUrl } = await this.metadata();
    if (sloUrl === undefined) return undefined;
    this.#settings.http.requireUrl(sloUrl);
    const { signing } = await this.#settings.keys();
    return { destination: sloUrl, issuer: this.entityId, key: signing, nowMs: this.#settings.nowMs() };
  }

  get #times(): { readonly nowMs: number; readonly skewMs: number } {
    return { nowMs: this.#settings.nowMs(), skewMs: this.#settings.config.clockSkewSeconds * 1000 };
  }

  #person(facts: AssertionFacts): ProvenPerson {
    const { config, mapping } = this.#settings;
    if (config.subjectAttribute === undefined && facts.nameIdFormat === TRANSIENT)
      throw new GatewayError('auth.failed', {
        reason: 'a transient NameID names nobody for good: set subjectAttribute',
      });
    const { subject, problem, ...person } = personOf(config, facts.attributes, facts.nameId);
    if (problem !== undefined) throw new GatewayError('auth.failed', { reason: problem });
    const amr = config.amrAttribute === undefined ? [] : textsAt(facts.attributes, config.amrAttribute);
    return {
      subject,
      ...person,
      groups: readGroups(facts.attributes, mapping),
      amr: amr.slice(0, TEXTS_MAX),
      acr: facts.contextClass,
      authTimeMs: facts.authTimeMs,
      sessionId: facts.sessionIndex,
      once: {
        projectId: this.projectId,
        purpose: `saml-assertion/${this.name}`,
        hash: Uint8Array.from(createHash('sha256').update(facts.id).digest()),
        expiresAt: new Date(facts.expiresAtMs),
      },
      // What a sign-out there has to name; kept sealed.
      idToken: JSON.stringify({
        nameId: facts.nameId,
        format: facts.nameIdFormat,
        sessionIndex: facts.sessionIndex,
      } satisfies SignedInAs),
    };
  }

  /** For previews: attributes as an assertion would carry them, `NameID` among them. Signed answers are not taken here. */
  read(input: { readonly claims: Claims } | { readonly token: string }): Promise<ReadClaims> {
    if (!('claims' in input))
      throw new GatewayError('request.invalid', { field: 'token', reason: 'attributes are expected, as claims' });
    const nameId = input.claims['NameID'];
    const { problem, ...person } = personOf(
      this.#settings.config,
      input.claims,
      typeof nameId === 'string' ? nameId : '',
    );
    const groups = readGroups(input.claims, this.#settings.mapping);
    return Promise.resolve({ person: { ...person, groups }, problems: problem === undefined ? [] : [problem] });
  }

  async test(): Promise<readonly ProviderCheck[]> {
    const checks: ProviderCheck[] = [];
    const tried = async (check: string, work: () => Promise<string>): Promise<void> => {
      checks.push(
        await work().then(
          (detail) => ({ check, ok: true, detail }),
          (error: unknown) => ({
            check,
            ok: false,
            detail: error instanceof Error ? error.message.slice(0, 200) : 'failed',
          }),
        ),
      );
    };
    this.#readAtMs = Number.NEGATIVE_INFINITY;
    await tried('metadata', async () => {
      const metadata = await this.#fresh();
      return `${metadata.certificates.length} signing certificate(s); sign-in at ${new URL(metadata.ssoUrl).origin}`;
    });
    await tried('our keys', async () => `${(await this.#settings.keys()).all.length} in our metadata`);
    return checks;
  }

  /** @throws GatewayError `auth.provider_unavailable` */
  async metadata(): Promise<IdpMetadata> {
    const age = this.#settings.nowMs() - this.#readAtMs;
    if (this.#metadata !== undefined && age < METADATA_KEPT_MS) return this.#metadata;
    try {
      return await this.#fresh();
    } catch (cause) {
      if (this.#metadata !== undefined && age < METADATA_STALE_MS) return this.#metadata;
      throw new GatewayError('auth.provider_unavailable', { provider: this.name }, { cause });
    }
  }

  async #fresh(): Promise<IdpMetadata> {
    const { config, http, nowMs } = this.#settings;
    const { entityId } = config;
    const metadata =
      config.metadataUrl !== undefined
        ? parseIdpMetadata(await fetchText(http, config.metadataUrl), entityId, nowMs())
        : config.metadata !== undefined
          ? parseIdpMetadata(config.metadata, entityId, nowMs())
          : {
              entityId,
              ssoUrl: config.ssoUrl!,
              sloUrl: undefined,
              certificates: config.certificates!.map(requireCertificate),
            };
    http.requireUrl(metadata.ssoUrl);
    this.#metadata = metadata;
    this.#readAtMs = nowMs();
    return metadata;
  }

  /** Lets metadata be read again, once a minute at most: a bad signature must not make us call anybody at will. */
  #forget(): boolean {
    const { config, nowMs } = this.#settings;
    if (config.metadataUrl === undefined || nowMs() - this.#readAtMs < REREAD_EVERY_MS) return false;
    this.#readAtMs = nowMs() - METADATA_KEPT_MS;
    return true;
  }
}

async function fetchText(http: ProviderHttp, url: string): Promise<string> {
  const response = await http.fetch(url, {
    headers: { accept: 'application/samlmetadata+xml, application/xml, text/xml' },
  });
  if (!response.ok) throw new GatewayError('auth.provider_unavailable', { status: response.status });
  return await response.text();
}

const textsAt = (claims: Claims, name: string): readonly string[] =>
  [claimAt(claims, name)].flat().filter((value): value is string => typeof value === 'string' && value !== '');

function personOf(config: SamlConfig, attributes: Claims, nameId: string) {
  const first = (names: readonly string[]): string | undefined =>
    names.flatMap((name) => textsAt(attributes, name)).at(0);
  const subjects = config.subjectAttribute === undefined ? [nameId] : textsAt(attributes, config.subjectAttribute);
  const subject = subjects.length === 1 ? subjects[0]! : '';
  const username = config.usernameAttribute === undefined ? nameId : first([config.usernameAttribute]);
  const email = first(config.emailAttribute === undefined ? MAILS : [config.emailAttribute]);
  return {
    subject,
    username: username ?? nameId,
    displayName: first(config.displayNameAttribute === undefined ? NAMES : [config.displayNameAttribute]) ?? '',
    email,
    // SAML has no word for "the provider checked the address".
    emailVerified: false,
    ...(subject === '' ? { problem: 'there is no subject, or more than one' } : {}),
  };
}
