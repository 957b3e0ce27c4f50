/**
 * The browser's side of local accounts: the sign-in page, the page behind a link, and what their script asks. Public routes
 * by nature. A browser's page of another site is refused (login CSRF); every failure reads alike.
 */
import { Body, Controller, Get, HttpCode, Post, Query, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { GatewayError, Secret } from '@sallyport/core';
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProjectDirectory } from '../../db/project.ts';
import { Public } from '../../http/caller.ts';
import { RateLimiter } from '../../http/rate-limit.ts';
import { secret } from '../../http/schema.ts';
import { Listening } from '../../listening.ts';
import { CEREMONY_COOKIE, Cookies, SESSION_COOKIE } from '../cookies.ts';
import { escapeHtml, htmlPage } from '../pages.ts';
import { safeReturnTo } from '../sign-in.service.ts';
import { AccountLinks } from './account-links.ts';
import { type LocalSession, LocalSignIn } from './local-sign-in.ts';
import { LOGIN_SCRIPT } from './login-script.ts';
import { CEREMONY_S, Passkeys } from './passkeys.ts';
import { PASSWORD_CHARS_MAX } from './password.ts';

const Common = { return_to: z.string().max(600).optional(), project: z.string().max(63).optional() };
const Base64 = z
  .string()
  .max(20_000)
  .regex(/^[\w-]*$/);
/** WebAuthn's own shapes; what is in them is @simplewebauthn/server's to check. */
const Response = <T extends z.ZodRawShape>(response: T) =>
  z.object({
    id: Base64.min(1).max(1_400),
    rawId: Base64.min(1).max(1_400),
    type: z.literal('public-key'),
    clientExtensionResults: z.object({}),
    response: z.object(response),
  });
const Assertion = Response({
  clientDataJSON: Base64,
  authenticatorData: Base64,
  signature: Base64,
  userHandle: Base64.max(200).optional(),
});
const Attestation = Response({
  clientDataJSON: Base64,
  attestationObject: Base64,
  transports: z.array(z.string().max(30)).max(10).optional(),
});
const PageQuery = z.object(Common);
const Token = secret(z.string().max(100));
const ByPassword = z.strictObject({
  ...Common,
  username: z.string().min(1).max(100),
  password: secret(z.string().min(1).max(PASSWORD_CHARS_MAX)),
  code: secret(z.string().min(1).max(40)),
});
const BeginPasskey = z.strictObject(Common);
const ByPasskey = z.strictObject({ ...Common, response: Assertion });
const BeginLink = z.strictObject({ token: Token });
const LinkPasskey = z.strictObject({ token: Token, response: Attestation });
const LinkPassword = z.strictObject({
  token: Token,
  password: secret(z.string().min(1).max(PASSWORD_CHARS_MAX)),
  code: secret(z.string().max(40)),
});

@ApiExcludeController()
@Controller()
export class LocalLoginController {
  constructor(
    private readonly signIn: LocalSignIn,
    private readonly passkeys: Passkeys,
    private readonly links: AccountLinks,
    private readonly projects: ProjectDirectory,
    private readonly limits: RateLimiter,
    private readonly cookies: Cookies,
    private readonly listening: Listening,
  ) {}

  /** Public: this is where one is not signed in yet. */
  @Public()
  @Get('/login')
  page(@Res() reply: FastifyReply, @Query({ schema: PageQuery }) query: z.infer<typeof PageQuery>): void {
    const returnTo = escapeHtml(safeReturnTo(query.return_to));
    const passkey =
      this.passkeys.relyingParty === undefined
        ? ''
        : '<p><button type="button" id="passkey">Sign in with a passkey</button></p><p>or with a password</p>';
    this.#send(
      reply,
      'Sign in',
      `<main data-page="login" data-return-to="${returnTo}" data-project="${escapeHtml(query.project ?? '')}">${passkey}
       <form id="password"><label>Name <input name="username" autocomplete="username" required maxlength="100"></label>
       <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
       <label>Code from your app, or a recovery code <input name="code" autocomplete="one-time-code" required maxlength="40"></label>
       <button>Sign in</button></form></main>`,
    );
  }

  /** Public: what stands behind the link's # is the proof, and the server never sees it in an address. */
  @Public()
  @Get('/login/link')
  linkPage(@Res() reply: FastifyReply): void {
    this.#send(
      reply,
      'Set up your way in',
      `<main data-page="link"><div id="ways" hidden><p>You are <b id="name"></b>.</p>
       <p><button type="button" id="passkey">Set up a passkey</button></p>
       <p>Or a password with one-time codes. Put this into your authenticator app: <code id="secret"></code> (<a id="app">open the app</a>)</p>
       <form id="password"><label>Password, at least 12 characters <input name="password" type="password" autocomplete="new-password" required minlength="12"></label>
       <label>Code that the app shows <input name="code" autocomplete="one-time-code" inputmode="numeric" required maxlength="6"></label>
       <button>Set up the password</button></form></div>
       <div id="recovery" hidden><p>Each of these codes replaces your app once, should you lose it. They are shown this once:</p><pre id="codes"></pre>
       <p><a href="/device">Go on</a></p></div></main>`,
    );
  }

  /** Public: a script without secrets. */
  @Public()
  @Get('/login/login.js')
  script(@Res() reply: FastifyReply): void {
    void reply.type('text/javascript; charset=utf-8').header('cache-control', 'no-cache').send(LOGIN_SCRIPT);
  }

  /** Public: the name, the password and the code are the proof. */
  @Public()
  @Post('/v1/login/local/password')
  @HttpCode(200)
  async password(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: ByPassword }) body: z.infer<typeof ByPassword>,
  ) {
    await this.#guard(request);
    const projectId = await this.projects.idToSignIn(body.project);
    const session = await this.signIn.byPassword(
      { projectId, name: body.username, password: new Secret(body.password), code: body.code.trim() },
      { address: request.ip, requestId: request.id },
    );
    this.#setSession(reply, session);
    return { returnTo: safeReturnTo(body.return_to) };
  }

  /** Public: asks for a challenge, which proves nothing. */
  @Public()
  @Post('/v1/login/local/passkey/begin')
  @HttpCode(200)
  async beginPasskey(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: BeginPasskey }) body: z.infer<typeof BeginPasskey>,
  ) {
    await this.#guard(request);
    const { options, ceremony } = await this.passkeys.begin(await this.projects.idToSignIn(body.project));
    this.#cookie(reply, this.cookies.write(CEREMONY_COOKIE, ceremony, CEREMONY_S));
    return options;
  }

  /** Public: the passkey's signature over this browser's challenge is the proof. */
  @Public()
  @Post('/v1/login/local/passkey')
  @HttpCode(200)
  async passkey(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: ByPasskey }) body: z.infer<typeof ByPasskey>,
  ) {
    await this.#guard(request);
    const ceremony = this.cookies.read(request, CEREMONY_COOKIE);
    const session = await this.passkeys.finish(ceremony, body.response as AuthenticationResponseJSON, request.id);
    this.#setSession(reply, session);
    return { returnTo: safeReturnTo(body.return_to) };
  }

  /** Public: what stood behind the link's # is the proof. */
  @Public()
  @Post('/v1/login/link/begin')
  @HttpCode(200)
  async beginLink(@Req() request: FastifyRequest, @Body({ schema: BeginLink }) body: z.infer<typeof BeginLink>) {
    await this.#guard(request);
    return await this.links.begin(body.token);
  }

  /** Public: the same. */
  @Public()
  @Post('/v1/login/link/passkey')
  @HttpCode(200)
  async linkPasskey(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: LinkPasskey }) body: z.infer<typeof LinkPasskey>,
  ) {
    await this.#guard(request);
    const response = body.response as RegistrationResponseJSON;
    this.#setSession(reply, await this.links.finishByPasskey(body.token, response, request.id));
    return {};
  }

  /** Public: the same. */
  @Public()
  @Post('/v1/login/link/password')
  @HttpCode(200)
  async linkPassword(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: LinkPassword }) body: z.infer<typeof LinkPassword>,
  ) {
    await this.#guard(request);
    const given = { password: new Secret(body.password), code: body.code.trim() };
    const made = await this.links.finishByPassword(body.token, given, request.id);
    this.#setSession(reply, made);
    return { recoveryCodes: made.recoveryCodes };
  }

  /** Another site's page cannot send JSON here without being asked first, and no form; what it could send is refused. */
  async #guard(request: FastifyRequest): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    const { origin, host, 'content-type': type, 'sec-fetch-site': site } = request.headers;
    const isOurs =
      origin === undefined ||
      origin === new URL(this.listening.publicUrl()).origin ||
      (URL.canParse(origin) && new URL(origin).host === host);
    const isSame = site === undefined || site === 'same-origin' || site === 'none';
    if (!isOurs || !isSame || !/^application\/json\b/i.test(type ?? ''))
      throw new GatewayError('auth.forbidden', { reason: 'another site' });
  }

  #setSession(reply: FastifyReply, session: LocalSession): void {
    this.#cookie(reply, this.cookies.write(SESSION_COOKIE, session.token, session.sessionS));
  }

  #cookie(reply: FastifyReply, cookie: string): void {
    void reply.header('cache-control', 'no-store').header('set-cookie', cookie);
  }

  #send(reply: FastifyReply, title: string, body: string): void {
    void reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-store')
      .send(htmlPage(title, `${body}<p id="message" role="alert"></p><script src="/login/login.js" defer></script>`));
  }
}
