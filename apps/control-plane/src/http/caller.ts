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
}

/** Checks a bearer token; provided by identity/. Every failure reads alike. */
export abstract class Authenticator {
  /** @throws GatewayError `auth.required` whatever is wrong with the token */
  abstract authenticate(token: string, requestId: string): Promise<Caller>;
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
