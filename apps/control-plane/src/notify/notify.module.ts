/** Webhooks and the outbox. Exported to the features that tell the outside. */
import { Module } from '@nestjs/common';
import { Outbox } from './outbox.ts';
import { WebhooksController } from './webhooks.controller.ts';
import { WebhooksRepository } from './webhooks.repository.ts';
import { WebhooksService } from './webhooks.service.ts';

@Module({
  controllers: [WebhooksController],
  providers: [Outbox, WebhooksRepository, WebhooksService],
  exports: [Outbox],
})
export class NotifyModule {}
