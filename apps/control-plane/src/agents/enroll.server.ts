/**
 * The gRPC server that strangers reach: enrolment and recovery, over TLS without a client certificate. It shows its
 * whole chain with the root, since an agent knows the root by its fingerprint alone until it has enrolled.
 * Attempts per address are limited; refusals read alike.
 */

import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { type EnrollRequest, type EnrollResponse, enrollmentService, type RecoverRequest } from '@sallyport/contract';
import { GatewayError } from '@sallyport/core';
import { Config } from '../config.ts';
import { Log } from '../http/problem.filter.ts';
import { RateLimiter } from '../http/rate-limit.ts';
import { CertificateAuthority } from '../keys/ca.ts';
import { Listening } from '../listening.ts';
import { Enrollment } from './enrollment.service.ts';
import { bindServer, stopServer } from './grpc.ts';
import { toStatus } from './status.ts';

@Injectable()
export class EnrollServer implements OnApplicationBootstrap, OnModuleDestroy {
  #server: Server | undefined;
  constructor(
    private readonly config: Config,
    private readonly authority: CertificateAuthority,
    private readonly enrollment: Enrollment,
    private readonly limits: RateLimiter,
    private readonly listening: Listening,
    private readonly log: Log,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const { chain, key, root } = await this.authority.serverCertificate();
    const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(`${chain.trim()}\n${root}`) };
    const server = new Server({ 'grpc.max_receive_message_length': 64 * 1024, 'grpc.max_concurrent_streams': 100 });
    server.addService(enrollmentService, {
      enroll: (call: ServerUnaryCall<EnrollRequest, EnrollResponse>, done: sendUnaryData<EnrollResponse>) =>
        this.#answer(call, done, () => this.enrollment.enroll(call.request)),
      recover: (call: ServerUnaryCall<RecoverRequest, EnrollResponse>, done: sendUnaryData<EnrollResponse>) =>
        this.#answer(call, done, () => this.enrollment.recover(call.request)),
    });
    this.#server = server;
    this.listening.report(
      'enroll',
      await bindServer(server, this.config.enroll, ServerCredentials.createSsl(null, [pair], false)),
    );
  }

  async onModuleDestroy(): Promise<void> {
    await stopServer(this.#server);
  }

  #answer<Q>(
    call: ServerUnaryCall<Q, EnrollResponse>,
    done: sendUnaryData<EnrollResponse>,
    work: () => Promise<EnrollResponse>,
  ): void {
    const address = call.getPeer().replace(/:\d+$/, '');
    const attempt = async (): Promise<EnrollResponse> => {
      await this.limits.require('bad-secret', address);
      return await work();
    };
    attempt().then(
      (response) => done(null, response),
      (cause: unknown) => {
        const expected = cause instanceof GatewayError;
        if (expected && cause.code === 'enroll.failed')
          this.limits
            .count('bad-secret', address)
            .catch((error: unknown) => this.log.warn('an attempt was not counted', { error }));
        if (expected) this.log.info('an enrolment was refused', { address, error: cause });
        else this.log.error('an enrolment failed', { address, error: cause });
        done(toStatus(cause));
      },
    );
  }
}
