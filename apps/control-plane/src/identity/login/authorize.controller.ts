/**
 * The page at which a person lets the command line sign in as them (RFC 8252). Public: it sends on to sign-in by itself.
 * It always asks: a program that opened the page by itself must not get a session unseen (RFC 8252 section 8.6).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Body, Controller, Get, Post, Query, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProjectDirectory } from '../../db/project.ts';
import { type Caller, Public } from '../../http/caller.ts';
import { RateLimiter } from '../../http/rate-limit.ts';
import { isProven } from '../../http/step-up.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { Cookies, SESSION_COOKIE } from '../cookies.ts';
import { escapeHtml, formPolicy, htmlPage } from '../pages.ts';
import { SignIn } from '../sign-in.service.ts';
import { CodeFlow } from './code-flow.ts';

/** A sign-in made for this very page is fresh enough, even where `max_age=0` was asked. */
const JUST_NOW_MS = 60_000;
const Text = z.string().min(1).max(100);

const AuthorizeQuery = z.object({
  response_type: z.literal('code'),
  client_id: Text,
  redirect_uri: z.string().max(300),
  code_challenge: z.string().max(100),
  code_challenge_method: z.literal('S256'),
  state: z.string().min(8).max(100),
  provider: z.string().max(63).optional(),
  project: z.string().max(63).optional(),
  max_age: z.coerce.number().int().min(0).max(86_400).optional(),
  acr_values: z.string().max(100).optional(),
  /** Set by us once we have sent the browser to sign in: a sign-in that does not do is not asked for for ever. */
  tried: z.literal('1').optional(),
});
type AuthorizeQuery = z.infer<typeof AuthorizeQuery>;
const AuthorizeAnswer = AuthorizeQuery.extend({ proof: z.string().max(100), answer: z.enum(['approve', 'deny']) });

/** Ties the form to the browser's session and to exactly this request. */
const proofOf = (session: string, query: AuthorizeQuery): string =>
  createHash('sha256')
    .update(`sallyport/authorize-proof/1|${session}|${JSON.stringify(AuthorizeQuery.parse(query))}`)
    .digest('base64url');

@ApiExcludeController()
@Controller('/v1/oauth/authorize')
export class AuthorizeController {
  constructor(
    private readonly codes: CodeFlow,
    private readonly signIn: SignIn,
    private readonly projects: ProjectDirectory,
    private readonly limits: RateLimiter,
    private readonly cookies: Cookies,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  /** Public: sends on to sign-in by itself. */
  @Public()
  @Get()
  async page(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query({ schema: AuthorizeQuery }) query: AuthorizeQuery,
  ): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    const { redirectUri } = this.#check(query);
    const session = this.cookies.read(request, SESSION_COOKIE);
    const person = await this.signIn.personOf(session);
    if (person === undefined || session === undefined || !(await this.#fits(person, query))) {
      if (query.tried !== undefined) throw new GatewayError('auth.step_up');
      const { provider, project, max_age: maxAge, acr_values: acrValues } = query;
      const to = new URLSearchParams({
        ...(provider === undefined ? {} : { provider }),
        ...(project === undefined ? {} : { project }),
        ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
        ...(acrValues === undefined ? {} : { acr_values: acrValues }),
        return_to: `${request.url}&tried=1`,
      });
      void reply.header('cache-control', 'no-store').redirect(`/v1/login?${to.toString()}`, 302);
      return;
    }
    const fields = Object.entries(query).map(
      ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(String(value))}">`,
    );
    void reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('content-security-policy', formPolicy(redirectUri.origin))
      .send(
        htmlPage(
          'Sign in a program',
          `<p>You are <b>${escapeHtml(person.principal.name)}</b>. <b>${escapeHtml(query.client_id)}</b>, a program on this computer, asks to act as you.</p>
           <p>Go on only if you started it yourself.</p>
           <form method="post" action="/v1/oauth/authorize">${fields.join('')}<input type="hidden" name="proof" value="${proofOf(session, query)}">
           <button name="answer" value="approve">Yes, sign it in</button><button name="answer" value="deny">No</button></form>`,
        ),
      );
  }

  /** Public: the session cookie and the form's proof are checked here. */
  @Public()
  @Post()
  async answer(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Body({ schema: AuthorizeAnswer }) body: z.infer<typeof AuthorizeAnswer>,
  ): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    const session = this.cookies.read(request, SESSION_COOKIE);
    const person = await this.signIn.personOf(session);
    if (person === undefined || session === undefined) throw new GatewayError('auth.required');
    const { proof, answer, ...query } = body;
    const wanted = Buffer.from(proofOf(session, query));
    const given = Buffer.from(proof);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
      throw new GatewayError('auth.forbidden', { reason: 'proof' });
    const asked = this.#check(query);
    const to = new URL(asked.redirectUri);
    to.searchParams.set('state', query.state);
    to.searchParams.set('iss', this.listening.publicUrl());
    if (answer === 'approve') to.searchParams.set('code', await this.codes.grant(person, asked));
    else to.searchParams.set('error', 'access_denied');
    void reply
      .header('cache-control', 'no-store')
      .header('content-security-policy', formPolicy(to.origin))
      .redirect(to.href, 303);
  }

  #check(query: AuthorizeQuery) {
    return this.codes.check({
      clientId: query.client_id,
      redirectUri: query.redirect_uri,
      codeChallenge: query.code_challenge,
    });
  }

  /** The browser's sign-in is of the right project and provider, and as fresh and strong as asked. */
  async #fits(person: Caller, query: AuthorizeQuery): Promise<boolean> {
    const { provider, project, max_age: maxAge, acr_values: acrValues } = query;
    if ((await this.projects.idToSignIn(project)) !== person.projectId) return false;
    if (person.signIn === undefined || (provider !== undefined && person.signIn.provider !== provider)) return false;
    const asked = {
      ...(maxAge === undefined ? {} : { maxAgeMs: Math.max(maxAge * 1000, JUST_NOW_MS) }),
      ...(acrValues === undefined ? {} : { acr: acrValues.split(' ') }),
    };
    return isProven(person, asked, this.clock.nowMs());
  }
}
