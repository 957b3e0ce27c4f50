/**
 * The key of masks by `hash`: one per project, made when an agent first needs it, under the envelope at rest and sealed to each
 * agent's own key on its way, so that equal values hash alike at every agent of a project and differently in another.
 * Refuses to show it: no route has it.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { seal } from '@sallyport/core';
import { MASK_KEY_BOX } from '@sallyport/model';
import { Database } from '../db/database.ts';
import { Envelope } from '../keys/envelope.ts';

const KEY_BYTES = 32;

@Injectable()
export class MaskKeys {
  constructor(
    private readonly database: Database,
    private readonly envelope: Envelope,
  ) {}

  /** @param sealKey raw X25519 public key of the agent @throws GatewayError `credential.unavailable` when it is under another key */
  async sealedFor(projectId: string, sealKey: Uint8Array): Promise<{ readonly id: string; readonly box: Uint8Array }> {
    const context = `mask-key/${projectId}`;
    const kept = (await this.#kept(projectId)) ?? (await this.#make(projectId, context));
    const plain = this.envelope.open(kept, context).reveal();
    const box = seal(plain, sealKey, `credential/${MASK_KEY_BOX}`);
    plain.fill(0);
    return { id: MASK_KEY_BOX, box };
  }

  async #kept(projectId: string): Promise<Uint8Array | undefined> {
    const row = await this.database.client.project.findUniqueOrThrow({ where: { id: projectId } });
    return row.maskKey ?? undefined;
  }

  /** Whichever replica is first; the others take its. */
  async #make(projectId: string, context: string): Promise<Uint8Array> {
    const box = this.envelope.seal(randomBytes(KEY_BYTES), context);
    await this.database.client.$executeRaw`
      update projects set mask_key = ${box} where id = ${projectId}::uuid and mask_key is null`;
    return (await this.#kept(projectId)) ?? box;
  }
}
