/**
 * The token endpoint (RFC 6749, 8628, 8693). Public routes by nature: what is sent is the proof. Limited by address.
 * Every failure to prove who one is reads alike.
 */
import { Body, Controller, Header, HttpCode, Post, Req } from '@nestjs/common';
import { ApiConsumes, ApiOperation, ApiTags } from '@nestjs/swagger';
import { GatewayError, LIMITS } from '@sallyport/core';
import { ISSUED_TOKEN_BYTES_MAX } from '@sallyport/model';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProjectDirectory } from '../db/project.ts';
import { dpopOf, KeyProofs, Public } from '../http/caller.ts';
import { OAuthError } from '../http/invalid-request.ts';
import { RateLimiter } from '../http/rate-limit.ts';
import { Answers, open, Prose, secret, sensitive } from '../http/schema.ts';
import { ClientCredentials } from './client-credentials.ts';
import { DeviceFlow } from './device-flow.ts';
import { Exchange, type GivenToken } from './exchange.service.ts';
import { CodeFlow } from './login/code-flow.ts';
import { CLIENT_ASSERTION_TYPE } from './machines/client-assertions.ts';
import { MachineSignIn } from './machines/machine-sign-in.ts';

const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const ID_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:id_token';
const THUMBPRINT = /^[\w-]{43}$/;

const Text = z.string().max(4_096);
/** Tokens of clusters and CI systems are longer than ours. */
const TokenText = z.string().max(ISSUED_TOKEN_BYTES_MAX);
// Not strict: RFC 6749 section 3.2 has unknown parameters ignored.
const TokenRequest = z
  .object({
    grant_type: open(z.string().max(200)),
    client_id: open(Text.optional()),
    client_secret: secret(Text.optional()),
    device_code: secret(Text.optional()),
    code: secret(Text.optional()),
    code_verifier: secret(Text.optional()),
    redirect_uri: open(Text.optional()),
    subject_token: secret(TokenText.optional()),
    subject_token_type: open(Text.optional()),
    actor_token: secret(TokenText.optional()),
    actor_token_type: open(Text.optional()),
    audience: open(Text.optional()),
    resource: open(Text.optional()),
    role: open(z.string().max(63).optional()),
    reason: sensitive(Prose(LIMITS.reasonBytesMax).optional()),
    project: open(z.string().max(63).optional()).describe(
      'Project whose trust rules and keys count; `default` when left out.',
    ),
    client_assertion: secret(Text.optional()),
    client_assertion_type: open(Text.optional()),
    cnf_x5t_s256: open(z.string().regex(THUMBPRINT).optional()).describe(
      'SHA-256 of a TLS client certificate (base64url) that opening a session is to take besides the token.',
    ),
    cnf_jkt: open(z.string().regex(THUMBPRINT).optional()).describe('Thumbprint of a key to bind the token to.'),
  })
  .meta({ id: 'TokenRequest' });
const TokenAnswer = z
  .object({
    access_token: secret(z.string()),
    issued_token_type: open(z.string()).optional(),
    token_type: open(z.string()),
    expires_in: open(z.number()),
  })
  .meta({ id: 'TokenAnswer' });
const DeviceRequest = z
  .object({
    // A word, no sentence: the page that a person confirms says who asks, and an agent's own asks read like one.
    client_id: open(z.string().regex(/^[\w.:@/-]{1,100}$/)).default('sallyport-cli'),
    scope: open(Text.optional()),
    project: open(z.string().max(63).optional()).describe('Project to sign in to; `default` when left out.'),
  })
  .meta({ id: 'DeviceRequest' });
const DeviceAnswer = z
  .object({
    device_code: secret(z.string()),
    user_code: sensitive(z.string()),
    verification_uri: open(z.string()),
    verification_uri_complete: sensitive(z.string()),
    expires_in: open(z.number()),
    interval: open(z.number()),
  })
  .meta({ id: 'DeviceAnswer' });

type TokenShape = z.infer<typeof TokenAnswer>;
type TokenBody = z.infer<typeof TokenRequest>;

const session = (token: string, seconds: number, boundKey: string | undefined): TokenShape => ({
  access_token: token,
  token_type: boundKey === undefined ? 'Bearer' : 'DPoP',
  expires_in: seconds,
});

/** @throws OAuthError `invalid_request` for a type that is not exchanged here */
function givenToken(token: string, type: string): GivenToken {
  if (type === ACCESS_TOKEN_TYPE) return { kind: 'api', token };
  if (type === JWT_TYPE || type === ID_TOKEN_TYPE) return { kind: 'jwt', token };
  throw new OAuthError('invalid_request');
}

function requireField(value: string | undefined): string {
  if (value === undefined || value === '') throw new OAuthError('invalid_request');
  return value;
}

/** RFC 6749 section 2.3.1: HTTP Basic with form-encoded parts. */
function basicCredentials(header: string | undefined): readonly [string, string] | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const [id, ...rest] = Buffer.from(encoded, 'base64').toString().split(':');
  const plain = (text: string): string => {
    try {
      return decodeURIComponent(text.replaceAll('+', ' '));
    } catch {
      return text;
    }
  };
  return [plain(id ?? ''), plain(rest.join(':'))];
}

@ApiTags('sign-in')
@Controller('/v1/oauth')
export class OAuthController {
  constructor(
    private readonly exchange: Exchange,
    private readonly clients: ClientCredentials,
    private readonly devices: DeviceFlow,
    private readonly codes: CodeFlow,
    private readonly machines: MachineSignIn,
    private readonly proofs: KeyProofs,
    private readonly projects: ProjectDirectory,
    private readonly limits: RateLimiter,
  ) {}

  /** Public: the request itself carries the proof. */
  @Public()
  @Post('token')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @ApiConsumes('application/x-www-form-urlencoded', 'application/json')
  @ApiOperation({
    summary: 'Tokens: client credentials, authorization code of a program on loopback, device code, token exchange.',
  })
  @Answers(TokenAnswer)
  async token(@Req() request: FastifyRequest, @Body({ schema: TokenRequest }) body: TokenBody): Promise<TokenShape> {
    await this.limits.take('token', request.ip);
    switch (body.grant_type) {
      case 'client_credentials': {
        const provenKey = await this.#provenKey(request);
        if (body.client_assertion !== undefined) {
          if (body.client_assertion_type !== CLIENT_ASSERTION_TYPE || body.client_secret !== undefined)
            throw new OAuthError('invalid_request');
          const made = await this.#guarded(
            request,
            this.clients.signInByAssertion(
              { clientId: body.client_id, assertion: body.client_assertion, project: body.project },
              request.id,
              provenKey,
            ),
          );
          return session(made.token, made.expiresInSeconds, provenKey);
        }
        const [id, secretText] = basicCredentials(request.headers.authorization) ?? [
          requireField(body.client_id),
          requireField(body.client_secret),
        ];
        const made = await this.#guarded(request, this.clients.signIn(id, secretText, request.id, provenKey));
        return session(made.token, made.expiresInSeconds, provenKey);
      }
      case 'authorization_code': {
        const made = await this.codes
          .redeem(
            {
              code: requireField(body.code),
              redirectUri: requireField(body.redirect_uri),
              verifier: requireField(body.code_verifier),
              clientId: requireField(body.client_id),
            },
            request.id,
          )
          .catch(async (error: unknown) => {
            if (error instanceof OAuthError) await this.limits.take('bad-token', request.ip);
            throw error;
          });
        return { access_token: made.token, token_type: 'Bearer', expires_in: made.expiresInSeconds };
      }
      case DEVICE_CODE: {
        const made = await this.devices.poll(requireField(body.device_code), request.id);
        return { access_token: made.token, token_type: 'Bearer', expires_in: made.expiresInSeconds };
      }
      case TOKEN_EXCHANGE: {
        const subject = givenToken(requireField(body.subject_token), requireField(body.subject_token_type));
        const actor =
          body.actor_token === undefined
            ? undefined
            : givenToken(body.actor_token, body.actor_token_type ?? ACCESS_TOKEN_TYPE);
        const provenKey = await this.#provenKey(request);
        if (subject.kind === 'jwt' && actor === undefined && body.resource === undefined && body.audience === undefined)
          return await this.#machineSession(request, subject.token, body, provenKey);
        const { cnf_x5t_s256, cnf_jkt } = body;
        const made = await this.exchange
          .exchange({
            subject,
            actor,
            clientId: body.client_id,
            project: body.project,
            provenKey,
            confirm:
              cnf_x5t_s256 === undefined && cnf_jkt === undefined
                ? undefined
                : { 'x5t#S256': cnf_x5t_s256, jkt: cnf_jkt },
            resource: requireField(body.resource ?? body.audience),
            role: body.role,
            reason: body.reason,
            requestId: request.id,
          })
          .catch(async (error: unknown) => {
            if (error instanceof OAuthError && error.error === 'invalid_grant')
              await this.limits.take('bad-token', request.ip);
            throw error;
          });
        return {
          access_token: made.accessToken,
          issued_token_type: JWT_TYPE,
          token_type: 'N_A',
          expires_in: made.expiresInSeconds,
        };
      }
      default:
        throw new OAuthError('unsupported_grant_type');
    }
  }

  /** A machine's own token for an API session (RFC 8693): what it may do with it is by its roles. */
  async #machineSession(
    request: FastifyRequest,
    token: string,
    body: TokenBody,
    boundKey: string | undefined,
  ): Promise<TokenShape> {
    const options = { clientId: body.client_id, boundKey, requestId: request.id };
    const projectId = await this.projects.idToSignIn(body.project);
    const made = await this.#guarded(request, this.machines.signIn(projectId, token, options));
    return { ...session(made.token, made.expiresInSeconds, boundKey), issued_token_type: ACCESS_TOKEN_TYPE };
  }

  /** RFC 9449 section 5. @returns undefined without a proof */
  async #provenKey(request: FastifyRequest): Promise<string | undefined> {
    const dpop = dpopOf(request);
    if (dpop === undefined) return undefined;
    return await this.#guarded(
      request,
      this.proofs.prove(dpop, undefined).catch((error: unknown) => {
        throw error instanceof GatewayError ? new OAuthError('invalid_dpop_proof', 'auth.failed') : error;
      }),
    );
  }

  /** Failures to prove who one is count against the address. */
  async #guarded<T>(request: FastifyRequest, work: Promise<T>): Promise<T> {
    return await work.catch(async (error: unknown) => {
      if (error instanceof OAuthError) await this.limits.take('bad-secret', request.ip);
      throw error;
    });
  }

  /** Public: whoever asks gets a code; it is worth nothing until a person confirms it. */
  @Public()
  @Post('device_authorization')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @ApiConsumes('application/x-www-form-urlencoded', 'application/json')
  @ApiOperation({ summary: 'Start a device sign-in (RFC 8628).' })
  @Answers(DeviceAnswer)
  async device(
    @Req() request: FastifyRequest,
    @Body({ schema: DeviceRequest.prefault({}) }) body: z.infer<typeof DeviceRequest>,
  ): Promise<z.infer<typeof DeviceAnswer>> {
    await this.limits.take('sign-in', request.ip);
    return await this.devices.start(body.client_id, body.project);
  }
}
