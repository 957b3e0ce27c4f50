/** Answers from Slack. Apart from notify/, since answering needs the features that tell through it. */
import { Module } from '@nestjs/common';
import { ApprovalsModule } from '../approvals/approvals.module.ts';
import { NotifyModule } from '../notify/notify.module.ts';
import { RequestsModule } from '../requests/requests.module.ts';
import { SlackController } from './slack.controller.ts';
import { SlackRepository } from './slack.repository.ts';
import { SlackAnswers } from './slack-answers.service.ts';
import { SlackLinks } from './slack-links.service.ts';

@Module({
  imports: [ApprovalsModule, RequestsModule, NotifyModule],
  controllers: [SlackController],
  providers: [SlackAnswers, SlackLinks, SlackRepository],
})
export class SlackModule {}
