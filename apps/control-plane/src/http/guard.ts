/**
 * The guard over every route: denies by default. Public routes pass; others need a bearer token with the permission
 * the route names. Failed tokens count against the address. Refuses to know what a token looks like.
 */
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { GatewayError } from '@sallyport/core';
import type { FastifyRequest } from 'fastify';
import { ambient } from '../db/ambient.ts';
import { Authenticator, type Caller, dpopOf, KeyProofs, PUBLIC, REQUIRES, setCaller } from './caller.ts';
import type { Permission } from './permissions.ts';
import { RateLimiter } from './rate-limit.ts';

/** Name of the project the caller means; optional, since the token says it already. */
export const PROJECT_HEADER = 'sallyport-project';

@Injectable()
export class AuthGuard implements CanActivate {
  readonly #reflector: Reflector;
  readonly #authenticator: Authenticator;
  readonly #proofs: KeyProofs;
  readonly #limits: RateLimiter;
  constructor(reflector: Reflector, authenticator: Authenticator, proofs: KeyProofs, limits: RateLimiter) {
    this.#reflector = reflector;
    this.#authenticator = authenticator;
    this.#proofs = proofs;
    this.#limits = limits;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.#reflector.getAllAndOverride<boolean>(PUBLIC, targets) === true) return true;
    const anyOf = this.#reflector.getAllAndOverride<readonly Permission[] | 'any'>(REQUIRES, targets);
    if (anyOf === undefined || anyOf.length === 0)
      throw new GatewayError('auth.forbidden', { reason: 'the route names no permission' });
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const agreed = ambient.getStore()?.agreed;
    if (agreed !== undefined) {
      // An agreed change is carried out: by whoever proposed it, if they still may.
      requireOneOf(anyOf, agreed.proposer);
      setCaller(request, agreed.proposer);
      return true;
    }
    const [, scheme, token] = /^(Bearer|DPoP) ([^\s]+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (scheme === undefined || token === undefined) throw new GatewayError('auth.required');
    const caller = await this.#caller(request, scheme.toLowerCase() === 'dpop', token).catch(async (error: unknown) => {
      // Only failures are limited: a good token works however many bad ones come from the same address.
      if (error instanceof GatewayError) await this.#limits.take('bad-token', request.ip);
      throw error;
    });
    // A token is for one project; a caller that means another one must not change this one by mistake.
    const meant = request.headers[PROJECT_HEADER];
    if (meant !== undefined && meant !== caller.projectName)
      throw new GatewayError('project.mismatch', { project: String(meant) });
    requireOneOf(anyOf, caller);
    setCaller(request, caller);
    return true;
  }

  async #caller(request: FastifyRequest, isBound: boolean, token: string): Promise<Caller> {
    if (!isBound) return await this.#authenticator.authenticate(token, request.id);
    const dpop = dpopOf(request);
    if (dpop === undefined) throw new GatewayError('auth.required');
    const caller = await this.#authenticator.authenticate(token, request.id, await this.#proofs.prove(dpop, token));
    // RFC 9449 section 7.1: a bearer token does not become a bound one by being called so.
    if (caller.boundKey === undefined) throw new GatewayError('auth.required');
    return caller;
  }
}

function requireOneOf(anyOf: readonly Permission[] | 'any', caller: Caller): void {
  if (anyOf !== 'any' && !anyOf.some((permission) => caller.permissions.has(permission)))
    throw new GatewayError('auth.forbidden', { needs: anyOf.join(' or ') });
}
