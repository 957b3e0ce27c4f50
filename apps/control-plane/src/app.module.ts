/** The wiring: one line per feature. Values that exist before Nest (configuration, database, keys) come in by `register`. */
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { ActsModule } from './acts/acts.module.ts';
import { AgentsModule } from './agents/agents.module.ts';
import { ApplyModule } from './apply/apply.module.ts';
import { Bootstrap } from './bootstrap.ts';
import { BundleChangesModule, BundlesModule } from './bundles/bundles.module.ts';
import { BusModule } from './bus/bus.module.ts';
import { Config } from './config.ts';
import { CredentialsModule } from './credentials/credentials.module.ts';
import { DatabaseUrl } from './db/database.ts';
import { DbModule } from './db/db.module.ts';
import { Project } from './db/project.ts';
import { DualControlModule } from './dual-control/dual-control.module.ts';
import { GrantsModule } from './grants/grants.module.ts';
import { HttpModule } from './http/http.module.ts';
import { Log } from './http/problem.filter.ts';
import { IdentityModule } from './identity/identity.module.ts';
import { Envelope } from './keys/envelope.ts';
import { KeysModule } from './keys/keys.module.ts';
import { NotifyModule } from './notify/notify.module.ts';
import { PoliciesModule } from './policies/policies.module.ts';
import { ProjectsModule } from './projects/projects.module.ts';
import { RequestsModule } from './requests/requests.module.ts';
import { ResourcesModule } from './resources/resources.module.ts';
import { RetentionModule } from './retention/retention.module.ts';
import { ReviewsModule } from './reviews/reviews.module.ts';
import { ScimModule } from './scim/scim.module.ts';
import { SlackModule } from './slack/slack.module.ts';
import { SshModule } from './ssh/ssh.module.ts';
import { SystemClock } from './time.ts';

export interface Given {
  readonly config: Config;
  readonly databaseUrl: DatabaseUrl;
  readonly envelope: Envelope;
  readonly log: Log;
  readonly clock: SystemClock;
}

/** What exists before Nest starts; global by HOUSE section 8 (config). */
@Global()
@Module({})
export class GivenModule {
  static register(given: Given): DynamicModule {
    const providers = [
      { provide: Config, useValue: given.config },
      { provide: DatabaseUrl, useValue: given.databaseUrl },
      { provide: Envelope, useValue: given.envelope },
      { provide: Log, useValue: given.log },
      { provide: SystemClock, useValue: given.clock },
      Project,
    ];
    return { module: GivenModule, providers, exports: [Config, DatabaseUrl, Envelope, Log, SystemClock, Project] };
  }
}

@Module({})
export class AppModule {
  static register(given: Given): DynamicModule {
    return {
      module: AppModule,
      imports: [
        GivenModule.register(given),
        DbModule,
        HttpModule,
        BusModule,
        BundleChangesModule,
        IdentityModule,
        KeysModule,
        BundlesModule,
        NotifyModule,
        AgentsModule,
        CredentialsModule,
        ResourcesModule,
        GrantsModule,
        RetentionModule,
        ReviewsModule,
        PoliciesModule,
        ApplyModule,
        ProjectsModule,
        DualControlModule,
        ScimModule,
        SshModule,
        RequestsModule,
        SlackModule,
        ActsModule,
      ],
      providers: [Bootstrap],
    };
  }
}
