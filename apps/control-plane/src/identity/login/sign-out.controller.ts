/**
 * Signing out: the browser's page and its answer, the command line's call, and the provider's own order. Public by nature:
 * the token, or the signed order, is the proof. A form of another site is refused by its origin.
 */
import { Body, Controller, Get, Header, HttpCode, Param, Post, Req, Res } from '@nestjs/common';
import { ApiConsumes, ApiExcludeEndpoint, ApiOperation, ApiTags } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ProjectDirectory } from '../../db/project.ts';
import { Public } from '../../http/caller.ts';
import { RateLimiter } from '../../http/rate-limit.ts';
import { Answers, open, secret } from '../../http/schema.ts';
import { Listening } from '../../listening.ts';
import { Cookies, SESSION_COOKIE } from '../cookies.ts';
import { escapeHtml, htmlPage } from '../pages.ts';
import { SignOut } from './sign-out.ts';

const SignOutAnswer = z
  .object({
    providerUrl: open(z.string().nullable()).describe(
      'Where to sign out at the provider too; null where it offers none.',
    ),
  })
  .meta({ id: 'SignOutAnswer' });
// Not strict: form parameters that are not known are ignored (RFC 6749 section 3.1).
const LogoutOrder = z.object({ logout_token: secret(z.string().min(1).max(20_000)) }).meta({ id: 'LogoutOrder' });

@ApiTags('sign-in')
@Controller()
export class SignOutController {
  constructor(
    private readonly signOut: SignOut,
    private readonly projects: ProjectDirectory,
    private readonly limits: RateLimiter,
    private readonly cookies: Cookies,
    private readonly listening: Listening,
  ) {}

  /** Public: a page with one button. */
  @Public()
  @ApiExcludeEndpoint()
  @Get('/v1/logout')
  page(@Res() reply: FastifyReply): void {
    this.#send(reply, 'Sign out', '<form method="post" action="/v1/logout"><button>Sign out</button></form>');
  }

  /** Public: where the provider sends the browser afterwards. */
  @Public()
  @ApiExcludeEndpoint()
  @Get('/v1/logout/done')
  done(@Res() reply: FastifyReply): void {
    this.#send(reply, 'Signed out', '<p>You are signed out. You can close this page.</p>');
  }

  /** Public: the bearer token or the browser's cookie is what is ended. */
  @Public()
  @Post('/v1/logout')
  @HttpCode(200)
  @ApiOperation({ summary: 'End the sign-in behind the token, with every token and session that hangs on it.' })
  @Answers(SignOutAnswer)
  async end(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    const bearer = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (bearer !== undefined) {
      const url = await this.signOut.byToken(bearer, request.id);
      void reply.header('cache-control', 'no-store').send({ providerUrl: url?.href ?? null });
      return;
    }
    const { origin } = request.headers;
    if (origin !== undefined && origin !== new URL(this.listening.publicUrl()).origin)
      throw new GatewayError('auth.forbidden', { reason: 'another origin' });
    const session = this.cookies.read(request, SESSION_COOKIE) ?? '';
    const url = await this.signOut.byToken(session, request.id).catch((error: unknown) => {
      // Who is not signed in is signed out.
      if (!(error instanceof GatewayError)) throw error;
      return undefined;
    });
    void reply.header('set-cookie', this.cookies.write(SESSION_COOKIE, '', 0));
    if (url === undefined) return this.done(reply);
    // Not a redirect: browsers hold those of a form to this page's own `form-action`.
    void reply.header('refresh', `0; url=${url.href}`);
    const link = `<p>You are signed out here. <a href="${escapeHtml(url.href)}">Sign out at your provider too.</a></p>`;
    this.#send(reply, 'Signed out', link);
  }

  /** Public: the provider's signature over the order is the proof. Answers as Back-Channel Logout 1.0, 2.8 says. */
  @Public()
  @Post(['/v1/oidc/:provider/backchannel-logout', '/v1/oidc/:project/:provider/backchannel-logout'])
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @ApiConsumes('application/x-www-form-urlencoded')
  @ApiOperation({ summary: 'An OpenID provider ends a person’s sign-ins (Back-Channel Logout 1.0).' })
  @Answers(z.undefined())
  async order(
    @Req() request: FastifyRequest,
    @Param('provider') provider: string,
    @Param('project') project: string | undefined,
    @Body({ schema: LogoutOrder }) body: z.infer<typeof LogoutOrder>,
  ): Promise<void> {
    const projectId = await this.projects.idToSignIn(project);
    await this.signOut.byProvider(projectId, provider, body.logout_token, request.id).catch(async (error: unknown) => {
      if (!(error instanceof GatewayError) || error.code !== 'auth.failed') throw error;
      await this.limits.take('bad-token', request.ip);
      throw new GatewayError('request.invalid', { reason: 'logout token' }, { cause: error });
    });
  }

  #send(reply: FastifyReply, title: string, body: string): void {
    void reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(htmlPage(title, body));
  }
}
