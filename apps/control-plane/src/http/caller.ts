/**
 * Who makes a REST call, as the guard found out, and the decorators that say what a route needs of them.
 * A route with neither `@Requires` nor `@Public` answers 403 to everybody. Refuses to know how a token is checked.
 */
import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import type { PrincipalRef } from '@sallyport/model';
import type { FastifyRequest } from 'fastify';
import type { Permission } from './permissions.ts';

/** How a person behind a token signed in. */
export interface CallerSignIn {
  readonly sessionId: string;
  /** Name of the provider; `local` for accounts of our own. */
  readonly provider: string;
  /** RFC 8176. */
  readonly amr: readonly string[];
  readonly acr: string | undefined;
  /** UTC milliseconds; undefined when nobody said. */
  readonly authTimeMs: number | undefined;
}

export interface Caller {
  readonly projectId: string;
  /** Its name, a DNS label. */
  readonly projectName: string;
  readonly principal: PrincipalRef;
  readonly permissions: ReadonlySet<Permission>;
  /** Id of the API token it came with. */
  readonly tokenId: string;
  readonly requestId: string;
  /** Absent for tokens that no sign-in made. */
  readonly signIn?: CallerSignIn;
  /** RFC 7638 thumbprint of the key that every use of the token has to prove; undefined for a bearer token. */
  readonly boundKey?: string | undefined;
}

/** Checks a bearer token; provided by identity/. Every failure reads alike. */
export abstract class Authenticator {
  /**
   * @param provenKey thumbprint of the key whose possession was proven with this request
   * @throws GatewayError `auth.required` whatever is wrong with the token, a missing proof included
   */
  abstract authenticate(token: string, requestId: string, provenKey?: string): Promise<Caller>;
}

/** A DPoP header and the request it came with (RFC 9449). */
export interface DpopRequest {
  readonly proof: string;
  readonly method: string;
  /** Path of the request; a query is ignored. */
  readonly path: string;
}

/** Checks proofs of possession; provided by identity/. */
export abstract class KeyProofs {
  /**
   * @param token the token the proof has to name; undefined where one is asked for
   * @returns the key's thumbprint @throws GatewayError `auth.required` whatever is wrong
   */
  abstract prove(request: DpopRequest, token: string | undefined): Promise<string>;
}

/** The DPoP header; undefined without. Two of them are none that could be checked. */
export function dpopOf(request: FastifyRequest): DpopRequest | undefined {
  const proof = request.headers['dpop'];
  if (proof === undefined) return undefined;
  return { proof: String(proof), method: request.method, path: request.url };
}

export const REQUIRES = 'sallyport:requires';
export const PUBLIC = 'sallyport:public';

/** The route needs one of these permissions; the service narrows what each of them shows. */
export const Requires = (...anyOf: [Permission, ...Permission[]]) =>
  applyDecorators(SetMetadata(REQUIRES, anyOf), ApiExtension('x-requires', anyOf));
/** The route needs a valid token and no permission: it tells callers about themselves alone. */
export const SignedIn = () => SetMetadata(REQUIRES, 'any');
/** The route needs no token. Say why beside it. */
export const Public = () => SetMetadata(PUBLIC, true);

const CALLER = Symbol('caller');
type Carrier = FastifyRequest & { [CALLER]?: Caller };

export const setCaller = (request: FastifyRequest, caller: Caller): void => {
  (request as Carrier)[CALLER] = caller;
};

/** @throws GatewayError `auth.required` on a public route */
export function callerOf(request: FastifyRequest): Caller {
  const caller = (request as Carrier)[CALLER];
  if (caller === undefined) throw new GatewayError('auth.required');
  return caller;
}

/** Undefined on a public route. */
export const callerIfAny = (request: FastifyRequest): Caller | undefined => (request as Carrier)[CALLER];

/** `@From() caller: Caller` in a controller. */
export const From = createParamDecorator((_: unknown, context: ExecutionContext) =>
  callerOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** @throws GatewayError `auth.forbidden` */
export function requirePermission(caller: Caller, permission: Permission): void {
  if (!caller.permissions.has(permission)) throw new GatewayError('auth.forbidden', { permission });
}
