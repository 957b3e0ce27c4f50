/** Agents: joining, links, records. */
import { Module } from '@nestjs/common';
import { ApprovalsModule } from '../approvals/approvals.module.ts';
import { BudgetsModule } from '../budgets/budgets.module.ts';
import { BundlesModule } from '../bundles/bundles.module.ts';
import { CredentialsModule } from '../credentials/credentials.module.ts';
import { KeysModule } from '../keys/keys.module.ts';
import { RecordingsModule } from '../recordings/recordings.module.ts';
import { SessionsModule } from '../sessions/sessions.module.ts';
import { SshModule } from '../ssh/ssh.module.ts';
import { TrailModule } from '../trail/trail.module.ts';
import { AgentStates } from './agent-states.ts';
import { AgentsController } from './agents.controller.ts';
import { AgentsRepository } from './agents.repository.ts';
import { AgentsService } from './agents.service.ts';
import { EnrollServer } from './enroll.server.ts';
import { Enrollment } from './enrollment.service.ts';
import { ErrandDispatch } from './errand-dispatch.ts';
import { InstallController } from './install.controller.ts';
import { Interception } from './interception.service.ts';
import { LinkServer } from './link.server.ts';
import { Links } from './links.ts';

@Module({
  imports: [
    KeysModule,
    BundlesModule,
    CredentialsModule,
    ApprovalsModule,
    BudgetsModule,
    TrailModule,
    RecordingsModule,
    SessionsModule,
    SshModule,
  ],
  controllers: [InstallController, AgentsController],
  providers: [
    AgentsRepository,
    AgentStates,
    AgentsService,
    Enrollment,
    EnrollServer,
    ErrandDispatch,
    Interception,
    LinkServer,
    Links,
  ],
})
export class AgentsModule {}
