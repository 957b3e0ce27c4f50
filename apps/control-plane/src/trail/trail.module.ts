/** The record: ingest, the control plane's own chain, the tree, reading. Exported to links, sessions and recordings. */
import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.ts';
import { NotifyModule } from '../notify/notify.module.ts';
import { CheckpointSigners } from './checkpoint-signers.ts';
import { ControlChain } from './control-chain.ts';
import { IngestRepository } from './ingest.repository.ts';
import { TrailIngest } from './ingest.service.ts';
import { KeptChains } from './kept-chains.ts';
import { RefusedStatements } from './refused-statements.ts';
import { SessionKeys } from './session-keys.ts';
import { SessionTrail } from './session-trail.ts';
import { TrailRepository } from './trail.repository.ts';
import { TrailService } from './trail.service.ts';
import { TrailKeeper } from './trail-keeper.ts';
import { TrailSigner } from './trail-signer.ts';
import { Tree } from './tree.ts';

@Module({
  imports: [KeysModule, NotifyModule],
  providers: [
    TrailIngest,
    IngestRepository,
    KeptChains,
    CheckpointSigners,
    SessionKeys,
    SessionTrail,
    RefusedStatements,
    TrailSigner,
    ControlChain,
    Tree,
    TrailKeeper,
    TrailRepository,
    TrailService,
  ],
  exports: [TrailIngest, SessionKeys, SessionTrail, RefusedStatements, TrailService],
})
export class TrailModule {}
