/**
 * The browser's side of signing in: to the provider and back, and the page that confirms a device's code.
 * Public routes by nature. Refuses scripts; a form's answer carries a proof that only the signed-in browser has.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Body, Controller, Get, Post, Query, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProjectDirectory } from '../db/project.ts';
import { Public } from '../http/caller.ts';
import { RateLimiter } from '../http/rate-limit.ts';
import { AccountsRepository } from './accounts/accounts.repository.ts';
import { LOCAL } from './accounts/local-sign-in.ts';
import { Cookies, SESSION_COOKIE, STATE_COOKIE } from './cookies.ts';
import { DeviceFlow, normalUserCode } from './device-flow.ts';
import { escapeHtml, htmlPage } from './pages.ts';
import { IdentityProviders } from './providers.ts';
import { SIGN_IN_S, SignIn, safeReturnTo } from './sign-in.service.ts';

const LoginQuery = z.object({
  return_to: z.string().max(1_200).optional(),
  provider: z.string().max(63).optional(),
  project: z.string().max(63).optional(),
  max_age: z.coerce.number().int().min(0).max(86_400).optional(),
  acr_values: z
    .string()
    .regex(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/)
    .max(500)
    .optional(),
});
const DeviceQuery = z.object({ user_code: z.string().max(40).optional() });
const DeviceAnswer = z.object({
  user_code: z.string().max(40),
  proof: z.string().max(100),
  answer: z.enum(['approve', 'deny']),
});

/** Ties a form to the browser's session, which another site cannot read. */
const proofOf = (session: string, userCode: string): string =>
  createHash('sha256').update(`sallyport/device-proof/1|${session}|${userCode}`).digest('base64url');

@ApiExcludeController()
@Controller()
export class SignInController {
  constructor(
    private readonly signIn: SignIn,
    private readonly providers: IdentityProviders,
    private readonly projects: ProjectDirectory,
    private readonly accounts: AccountsRepository,
    private readonly devices: DeviceFlow,
    private readonly limits: RateLimiter,
    private readonly cookies: Cookies,
  ) {}

  /** Public: this is where one is not signed in yet. */
  @Public()
  @Get('/v1/login')
  async login(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query({ schema: LoginQuery }) query: z.infer<typeof LoginQuery>,
  ): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    const returnTo = safeReturnTo(query.return_to);
    const projectId = await this.projects.idToSignIn(query.project);
    const providers = await this.providers.list(projectId);
    const hasAccounts = await this.accounts.some(projectId);
    if (query.provider === LOCAL || (query.provider === undefined && providers.length === 0 && hasAccounts)) {
      const more = new URLSearchParams({
        ...(query.project === undefined ? {} : { project: query.project }),
        return_to: returnTo,
      });
      void reply.header('cache-control', 'no-store').redirect(`/login?${more.toString()}`, 302);
      return;
    }
    if (query.provider === undefined && providers.length + Number(hasAccounts) > 1) {
      const { max_age: maxAge, acr_values: acrValues, project } = query;
      const more = new URLSearchParams({
        ...(project === undefined ? {} : { project }),
        ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
        ...(acrValues === undefined ? {} : { acr_values: acrValues }),
        return_to: returnTo,
      });
      const links = providers.map(
        ({ name, displayName }) =>
          `<p><a href="/v1/login?provider=${encodeURIComponent(name)}&amp;${escapeHtml(more.toString())}">${escapeHtml(displayName === '' ? name : displayName)}</a></p>`,
      );
      if (hasAccounts)
        links.push(
          `<p><a href="/v1/login?provider=${LOCAL}&amp;${escapeHtml(more.toString())}">Passkey or password</a></p>`,
        );
      return this.#send(reply, 200, 'Sign in with', links.join(''));
    }
    const { url, state } = await this.signIn.begin(projectId, query.provider, returnTo, {
      maxAgeS: query.max_age,
      acrValues: query.acr_values,
    });
    void reply.header('set-cookie', this.cookies.write(STATE_COOKIE, state, SIGN_IN_S));
    void reply.header('cache-control', 'no-store').redirect(url.href, 302);
  }

  /** Public: the provider sends the browser here; the code and the state are the proof. */
  @Public()
  @Get(['/v1/login/callback', '/v1/login/callback/:provider', '/v1/login/callback/:project/:provider'])
  async callback(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const at = request.url.indexOf('?');
    const [path, query] = at < 0 ? [request.url, ''] : [request.url.slice(0, at), request.url.slice(at)];
    const cookieState = this.cookies.read(request, STATE_COOKIE);
    const state = new URLSearchParams(query).get('state') ?? '';
    const from = { requestId: request.id, address: request.ip };
    const { token, sessionS, returnTo } = await this.signIn.finish(state, cookieState, { path, query }, from);
    void reply.header('set-cookie', [
      this.cookies.write(STATE_COOKIE, '', 0),
      this.cookies.write(SESSION_COOKIE, token, sessionS),
    ]);
    void reply.header('cache-control', 'no-store').redirect(returnTo, 302);
  }

  /** Public: sends on to sign-in by itself. */
  @Public()
  @Get('/device')
  async device(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query({ schema: DeviceQuery }) query: z.infer<typeof DeviceQuery>,
  ): Promise<void> {
    await this.limits.take('device-code', request.ip);
    const session = this.cookies.read(request, SESSION_COOKIE);
    const person = await this.signIn.personOf(session);
    const code = query.user_code === undefined ? undefined : normalUserCode(query.user_code);
    const attempt = code === undefined ? null : await this.devices.pending(code);
    // The browser may be signed in to another project than the device asks for.
    if (person === undefined || session === undefined || (attempt !== null && attempt.projectId !== person.projectId)) {
      const back = code === undefined ? '/device' : `/device?user_code=${code}`;
      const project = attempt === null ? '' : await this.projects.nameOf(attempt.projectId);
      const query = new URLSearchParams({ ...(project === '' ? {} : { project }), return_to: back });
      void reply.redirect(`/v1/login?${query.toString()}`, 302);
      return;
    }
    if (code === undefined) {
      return this.#send(
        reply,
        200,
        `Signed in as ${person.principal.name}`,
        '<form method="get" action="/device"><label>Code shown by the device <input name="user_code" autofocus autocomplete="off"></label><button>Go on</button></form>',
      );
    }
    if (attempt === null)
      return this.#send(
        reply,
        404,
        'No such code',
        '<p>The code is unknown, used, or older than ten minutes. Ask the device for a fresh one.</p>',
      );
    this.#send(
      reply,
      200,
      'Sign in a device',
      `<p>You are <b>${escapeHtml(person.principal.name)}</b>. <b>${escapeHtml(attempt.provider)}</b> asked at ${attempt.createdAt.toISOString().slice(11, 19)} UTC to act as you, and shows this code:</p>
       <p class="code"><code>${escapeHtml(code)}</code></p><p>Go on only if you started this yourself and the codes are the same.</p>
       <form method="post" action="/device"><input type="hidden" name="user_code" value="${escapeHtml(code)}"><input type="hidden" name="proof" value="${proofOf(session, code)}">
       <button name="answer" value="approve">Yes, sign it in</button><button name="answer" value="deny">No</button></form>`,
    );
  }

  /** Public: the session cookie and the form's proof are checked here. */
  @Public()
  @Post('/device')
  async answer(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Body({ schema: DeviceAnswer }) body: z.infer<typeof DeviceAnswer>,
  ): Promise<void> {
    await this.limits.take('device-code', request.ip);
    const session = this.cookies.read(request, SESSION_COOKIE);
    const person = await this.signIn.personOf(session);
    const code = normalUserCode(body.user_code);
    if (person === undefined || session === undefined) throw new GatewayError('auth.required');
    const wanted = Buffer.from(proofOf(session, code));
    const given = Buffer.from(body.proof);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
      throw new GatewayError('auth.forbidden', { reason: 'proof' });
    const granted = body.answer === 'approve';
    const done = await this.devices.answer(code, person, granted, request.id);
    if (!done)
      return this.#send(reply, 404, 'No such code', '<p>The code is unknown, used, or older than ten minutes.</p>');
    this.#send(
      reply,
      200,
      granted ? 'Signed in' : 'Refused',
      granted ? '<p>The device is signed in. You can close this page.</p>' : '<p>The device was not signed in.</p>',
    );
  }

  #send(reply: FastifyReply, status: number, title: string, body: string): void {
    void reply
      .status(status)
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-store')
      .send(htmlPage(title, body));
  }
}
