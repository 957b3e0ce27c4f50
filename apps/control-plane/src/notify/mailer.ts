/**
 * E-mail by SMTP (nodemailer). TLS from the first byte or by STARTTLS; in clear to loopback alone. One address list a
 * notifier, or one person. Refuses addresses that are more than an address, and to read files or URLs for a message.
 */
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Transporter } from 'nodemailer';
import { Config } from '../config.ts';
import { Database } from '../db/database.ts';
import type { OutboxMessage, Webhook } from '../generated/prisma/client.ts';
import { openMailTransport } from './credentials/mail-transport.ts';
import { mailOf } from './mail-text.ts';

/** One address and nothing else: no name, no list, no quoted part, nothing that could end a header. */
const ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;

export const isAddress = (text: string): boolean => text.length <= 254 && ADDRESS.test(text);

@Injectable()
export class Mailer implements OnModuleDestroy {
  #transport: Transporter | undefined;
  constructor(
    private readonly config: Config,
    private readonly database: Database,
  ) {}

  /** False when no mail server is configured. */
  get isConfigured(): boolean {
    return this.config.smtp !== undefined;
  }

  onModuleDestroy(): void {
    this.#transport?.close();
  }

  /** @returns why it was not taken, or undefined @throws whatever the mail server said */
  async send(message: OutboxMessage, webhook: Webhook): Promise<string | undefined> {
    const { smtp } = this.config;
    if (smtp === undefined) return 'SALLYPORT_SMTP_URL is not set';
    const to = await this.#addresses(message, webhook);
    // Who has no address (any more) cannot be told; a later attempt changes nothing.
    if (to.length === 0) return undefined;
    const { subject, text, html } = mailOf(message.event, message.body);
    await this.#open(smtp).sendMail({
      from: smtp.from,
      to,
      subject,
      text,
      html,
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Sallyport-Event': message.event },
      // The same on each attempt, so that a mailbox can drop repeats.
      messageId: `<${message.id}.${webhook.id}@${smtp.from.split('@')[1]}>`,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    return undefined;
  }

  async #addresses(message: OutboxMessage, webhook: Webhook): Promise<string[]> {
    if (message.recipientId === null)
      return ((webhook.config as { readonly to?: readonly string[] }).to ?? []).filter(isAddress);
    const person = await this.database.client.principal.findFirst({
      where: { projectId: message.projectId, id: message.recipientId, disabledAt: null },
      select: { email: true },
    });
    return person?.email != null && isAddress(person.email) ? [person.email] : [];
  }

  #open(smtp: NonNullable<Config['smtp']>): Transporter {
    this.#transport ??= openMailTransport(smtp);
    return this.#transport;
  }
}
