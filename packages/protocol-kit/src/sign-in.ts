/**
 * How a session signs in: by a token that the agent verifies offline, by a link to a browser, once or for several
 * connections. Refuses to say how a protocol carries the token. What a signed-in session has is road.ts.
 */
import type { KeyObject } from 'node:crypto';
import type { Secret } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { JoinedSession, SessionMember, SignedIn } from './road.ts';

export interface SignInRequest {
  readonly token: Secret<string>;
  /** RFC 7638 thumbprint of a key that the client proved to hold in this protocol; absent without such proof. */
  readonly provenKey?: string;
  /** Resource by name, from user name or SNI. */
  readonly resource: string;
  /** Role asked for by `<role>+<resource>`. */
  readonly role: string | undefined;
  /** '' when the client named none: then the resource's first database, or `postgres`, is meant. */
  readonly database: string;
  readonly application: string;
  /** Why, as the client said while signing in; goes before what its token says. */
  readonly reason?: string;
}

/** A sign-in by browser that has begun. */
export interface LinkSignIn {
  /** Rejects when there is no control plane that could offer one. */
  readonly link: Promise<{ readonly url: string; readonly userCode: string }>;
  /** Rejects when it was refused or nobody came. */
  readonly token: Promise<Secret<string>>;
  /** The client is gone, or does something else. */
  cancel(): void;
}

export interface SignInPort {
  /** A resource of this protocol has that name here. */
  isResource?(name: string): boolean;
  /** Public keys of the CAs that certify users' SSH keys, as the bundle in force has them. */
  userCas?(): readonly KeyObject[];
  /** A proof was refused before it came to `signIn`: on the record with why, which no client is told. */
  refused?(resource: string, why: string): void;
  /** Offers a link to a browser; absent: there is none. */
  askByLink?(resource: string): LinkSignIn;
  /** The resource a TLS server name `<resource>.<domain>` names; undefined for any other name. Absent: names by SNI are off. */
  resourceOf?(serverName: string): string | undefined;
  /**
   * Verifies the token offline, finds the resource, the grants and admission limits, records `session.opened` or
   * `auth.failed`.
   * @throws GatewayError `auth.failed` for everything about the token or a resource or role one may not know of;
   *   `session.limit`, `agent.stale`, `agent.stopping`, `trail.unavailable`
   */
  signIn(request: SignInRequest): Promise<SignedIn>;
  /**
   * As `signIn`, for a protocol whose sessions span connections: opens one, or joins the one that stands; as often as
   * wanted on one connection. The token is verified each time. Absent: sessions are connections.
   */
  join?(request: SignInRequest, member: SessionMember): Promise<JoinedSession>;
  /** The resource of that name that this listener serves, before anybody has signed in: nothing of it may be told. */
  find?(name: string): Resource | undefined;
  /** The resource a token says it is for, by name; not verified: whoever signs in with it is. */
  resourceOfToken?(token: string): string | undefined;
  /** Lower-case domain under which `<resource>.<domain>` names one; '' = none. */
  domain?(): string;
  /**
   * Name of the resource that registers this host for the forward proxy; undefined = none does.
   * @param host canonical
   * @param token unverified: of several resources the one it says it is for is meant
   */
  proxied?(host: string, port: number, token: Secret<string>): string | undefined;
  /**
   * The token would sign in to some resource here: whoever shows it may be told that a host is no resource's. What was asked
   * for stands in the trail.
   * @throws GatewayError `auth.failed`
   */
  unproxied?(token: Secret<string>, host: string, port: number): void;
}
