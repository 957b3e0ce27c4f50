/** Keys, certificates and the envelope cipher. Exported to the features that sign, issue or seal. */
import { Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Log } from '../http/problem.filter.ts';
import { CertificateAuthority } from './ca.ts';
import { KeysController } from './keys.controller.ts';
import { KeysRepository } from './keys.repository.ts';
import { Keys } from './keys.ts';
import { MasterKey } from './master-key.ts';
import { SealedSigner, Signer } from './signer.ts';

const ROTATION_CHECK_MS = 60 * 60_000;

@Module({
  controllers: [KeysController],
  providers: [Keys, MasterKey, KeysRepository, CertificateAuthority, { provide: Signer, useClass: SealedSigner }],
  exports: [Keys, CertificateAuthority, KeysRepository],
})
export class KeysModule implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  constructor(
    private readonly keys: Keys,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.keys.rotateDue().catch((error: unknown) => this.log.error('keys could not be rotated', { error }));
    }, ROTATION_CHECK_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }
}
