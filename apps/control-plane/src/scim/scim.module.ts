/** Provisioning by SCIM 2.0. Takes persons and groups from a provider's directory; removing this folder leaves sign-in as it is. */
import { Module } from '@nestjs/common';
import { Provisioners } from './provisioner.ts';
import { ScimController } from './scim.controller.ts';
import { ScimRepository } from './scim.repository.ts';
import { ScimErrorFilter } from './scim-error.filter.ts';
import { ScimGroups } from './scim-groups.service.ts';
import { ScimMemberships } from './scim-memberships.ts';
import { ScimUsers } from './scim-users.service.ts';

@Module({
  controllers: [ScimController],
  providers: [ScimRepository, Provisioners, ScimMemberships, ScimUsers, ScimGroups, ScimErrorFilter],
  exports: [ScimMemberships],
})
export class ScimModule {}
