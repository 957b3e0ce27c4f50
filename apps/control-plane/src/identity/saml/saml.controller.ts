/**
 * The browser's side of SAML: our metadata, and the assertion consumer service. A POST from another site carries no cookie
 * of ours (SameSite=Lax), so an answer is put by under its RelayState and the browser sent on to a GET of our own, which
 * has the cookie: who brings the answer must be who asked. Public routes by nature; refuses scripts.
 */
import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { DEFAULT_PROJECT, ProjectDirectory } from '../../db/project.ts';
import { Public } from '../../http/caller.ts';
import { Log } from '../../http/problem.filter.ts';
import { RateLimiter } from '../../http/rate-limit.ts';
import { Listening } from '../../listening.ts';
import { Cookies, SESSION_COOKIE, STATE_COOKIE } from '../cookies.ts';
import { IdentityProviders } from '../providers.ts';
import { SignIn } from '../sign-in.service.ts';
import { PutBy } from './put-by.ts';
import { SamlIdentityProvider } from './saml-provider.ts';
import { SingleLogout } from './single-logout.ts';

const Answer = z.object({
  SAMLResponse: z.string().max(LIMITS.samlResponseBytesMax),
  RelayState: z.string().max(600).optional(),
});
const Back = z.object({ state: z.string().max(100) });
type Params = Readonly<{ provider: string; project?: string }>;

@ApiExcludeController()
@Controller()
export class SamlController {
  constructor(
    private readonly providers: IdentityProviders,
    private readonly projects: ProjectDirectory,
    private readonly signIn: SignIn,
    private readonly putBy: PutBy,
    private readonly singleLogout: SingleLogout,
    private readonly limits: RateLimiter,
    private readonly cookies: Cookies,
    private readonly listening: Listening,
    private readonly log: Log,
  ) {}

  /** Public: providers read it, and nothing in it is secret. */
  @Public()
  @Get(['/v1/saml/:provider/metadata', '/v1/saml/:project/:provider/metadata'])
  async metadata(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Param() params: Params): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    const { provider } = await this.#provider(params);
    void reply.type('application/samlmetadata+xml').send(await provider.ownMetadata());
  }

  /** Public: the provider's page posts here; the signature, and then the cookie, are the proof. */
  @Public()
  @Post(['/v1/saml/:provider/acs', '/v1/saml/:project/:provider/acs'])
  async consume(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param() params: Params,
    @Body({ schema: Answer }) body: z.infer<typeof Answer>,
  ): Promise<void> {
    void reply.header('cache-control', 'no-store');
    const { SAMLResponse, RelayState: state = '' } = body;
    const form = { SAMLResponse };
    if (await this.putBy.keep(state, { path: request.url.split('?')[0]!, form }, request.ip)) {
      void reply.redirect(`/v1/login/saml?state=${encodeURIComponent(state)}`, 303);
      return;
    }
    const { provider, projectId } = await this.#provider(params);
    const url = new URL(this.listening.publicUrl() + provider.callbackPath);
    const arrival = await provider
      .finishUnasked({ url, form })
      .then((person) => this.signIn.arrive({ projectId, provider, person, requestId: request.id }))
      .catch((cause: unknown) => {
        this.log.warn('a sign-in failed', { requestId: request.id, cause });
        throw new GatewayError('auth.failed', {}, { cause });
      });
    void reply.header('set-cookie', this.cookies.write(SESSION_COOKIE, arrival.token, arrival.sessionS));
    void reply.redirect('/device', 303);
  }

  /** Public: the browser that asked comes back here by itself, with its cookie. */
  @Public()
  @Get('/v1/login/saml')
  async back(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query({ schema: Back }) { state }: z.infer<typeof Back>,
  ): Promise<void> {
    const { token, sessionS, returnTo } = await this.signIn.finish(
      state,
      this.cookies.read(request, STATE_COOKIE),
      (attempt) => this.putBy.read(attempt, state),
      { requestId: request.id, address: request.ip },
    );
    void reply.header('set-cookie', [
      this.cookies.write(STATE_COOKIE, '', 0),
      this.cookies.write(SESSION_COOKIE, token, sessionS),
    ]);
    void reply.header('cache-control', 'no-store').redirect(returnTo, 302);
  }

  /** Public: the provider sends the browser here to end a sign-in; its signature is the proof. Our own sign-out ends here too. */
  @Public()
  @Get(['/v1/saml/:provider/slo', '/v1/saml/:project/:provider/slo'])
  async logout(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Param() params: Params): Promise<void> {
    await this.limits.take('sign-in', request.ip);
    void reply.header('cache-control', 'no-store');
    const query = request.url.split('?')[1] ?? '';
    // An answer to our own order changes nothing: here the sign-in was over before we asked.
    if (new URLSearchParams(query).has('SAMLResponse')) {
      void reply.redirect('/v1/logout/done', 303);
      return;
    }
    const { provider } = await this.#provider(params);
    const answer = await this.singleLogout.order(provider, query, request.id);
    void reply.redirect(answer?.href ?? '/v1/logout/done', 303);
  }

  /** @throws GatewayError `request.not_found` */
  async #provider({ project, provider: name }: Params) {
    // The default project's providers have the short address alone: one address, one provider.
    if (project === DEFAULT_PROJECT) throw new GatewayError('request.not_found');
    const projectId = await this.projects.idToSignIn(project);
    const provider = await this.providers.find(projectId, name);
    if (!(provider instanceof SamlIdentityProvider))
      throw new GatewayError('request.not_found', { identityProvider: name });
    return { projectId, provider };
  }
}
