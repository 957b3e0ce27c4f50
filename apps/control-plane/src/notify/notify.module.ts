/** Webhooks and the outbox. Exported to the features that tell the outside. */
import { Module } from '@nestjs/common';
import { Channels } from './channels.ts';
import { Mailer } from './mailer.ts';
import { Outbox } from './outbox.ts';
import { SlackApp } from './slack-app.ts';
import { WebhookReach } from './webhook-reach.ts';
import { WebhooksController } from './webhooks.controller.ts';
import { WebhooksRepository } from './webhooks.repository.ts';
import { WebhooksService } from './webhooks.service.ts';

@Module({
  controllers: [WebhooksController],
  providers: [Outbox, Channels, Mailer, SlackApp, WebhookReach, WebhooksRepository, WebhooksService],
  exports: [Outbox, SlackApp, WebhookReach],
})
export class NotifyModule {}
