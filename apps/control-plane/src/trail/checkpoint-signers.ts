/** Who signed a checkpoint: a key that a certificate of that agent carries. Refuses every other. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type Checkpoint, checkpointHolds, publicKeyId } from '@sallyport/trail';
import { IngestRepository } from './ingest.repository.ts';

const SIGNERS_MAX = 1_000;

@Injectable()
export class CheckpointSigners {
  readonly #repository: IngestRepository;
  readonly #signers = new Map<string, KeyObject>();

  constructor(repository: IngestRepository) {
    this.#repository = repository;
  }

  /** @throws GatewayError `trail.broken`: `unknown-signer`, `signature` */
  async require(agentId: string, checkpoint: Checkpoint): Promise<void> {
    if (!checkpointHolds(checkpoint, await this.#keyOf(agentId, checkpoint)))
      throw new GatewayError('trail.broken', { reason: 'signature', sequence: checkpoint.lastSequence });
  }

  async #keyOf(agentId: string, checkpoint: Checkpoint): Promise<KeyObject> {
    const id = `${agentId}/${checkpoint.keyId.toString('hex')}`;
    const known = this.#signers.get(id);
    if (known !== undefined) return known;
    const chains = await this.#repository.identityCertificates(agentId);
    const found = chains
      .map((pem) => new X509Certificate(pem).publicKey)
      .find((candidate) => publicKeyId(candidate).equals(checkpoint.keyId));
    if (found === undefined)
      throw new GatewayError('trail.broken', { reason: 'unknown-signer', sequence: checkpoint.lastSequence });
    if (this.#signers.size >= SIGNERS_MAX) this.#signers.clear();
    this.#signers.set(id, found);
    return found;
  }
}
