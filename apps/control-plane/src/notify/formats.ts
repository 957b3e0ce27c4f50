/**
 * The body of a webhook: generic JSON, or blocks that Slack's incoming webhooks show. Texts arrive here masked by the
 * detectors. Refuses to know how it is sent. Slack: api.slack.com/reference/block-kit, mrkdwn escaping.
 */

export const WEBHOOK_FORMATS = ['generic', 'slack'] as const;

export interface OutboundMessage {
  /** The delivery's id: the same on each attempt, so that receivers can drop repeats. */
  readonly id: string;
  readonly event: string;
  readonly createdAt: Date;
  readonly body: unknown;
}

export function formatFor(format: string, message: OutboundMessage): object {
  return format === 'slack'
    ? slackOf(message)
    : { id: message.id, event: message.event, createdAt: message.createdAt.toISOString(), data: message.body };
}

/** Slack's three control characters; everything else is text. */
const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const TEXT_MAX = 2_500;
const cut = (text: string): string => (text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text);

function slackOf(message: OutboundMessage): object {
  const data = (message.body ?? {}) as Record<string, unknown>;
  const of = (key: string): string =>
    typeof data[key] === 'string' || typeof data[key] === 'number' ? escape(cut(String(data[key]))) : '';
  switch (message.event) {
    case 'approval.requested': {
      const who = of('onBehalfOf') === '' ? `*${of('principal')}*` : `*${of('principal')}* for *${of('onBehalfOf')}*`;
      const title = `${who} asks to run this on *${of('resource')}*`;
      return blocks(`Approval wanted: ${of('principal')} on ${of('resource')}`, [
        section(title),
        section(`\`\`\`${of('statement').replaceAll('```', "'''")}\`\`\``),
        section(
          `Rule \`${of('rule')}\`: ${of('reason')}\nExpires ${of('expiresAt')}. Answer: \`sallyport approvals approve ${of('id')}\`${of('url') === '' ? '' : ` or <${of('url')}|open it>`}`,
        ),
      ]);
    }
    case 'approval.answered':
      return blocks(`Approval ${of('id')}: ${of('state')}`, [
        section(`*${of('id')}* was *${of('state')}* by ${of('by')}${of('reason') === '' ? '' : `: ${of('reason')}`}`),
      ]);
    case 'trail.alarm':
      return blocks('The record of an agent does not verify', [
        section(`:rotating_light: The record of agent \`${of('agentId')}\` does not verify: \`${of('alarm')}\``),
      ]);
    case 'session.killed':
      return blocks(`Session ${of('id')} was ended`, [
        section(`Session \`${of('id')}\` of *${of('principal')}* was ended by *${of('by')}*: ${of('reason')}`),
      ]);
    default:
      return blocks(`Sallyport: ${message.event}`, [section(`Sallyport: \`${escape(message.event)}\``)]);
  }
}

const section = (text: string): object => ({ type: 'section', text: { type: 'mrkdwn', text } });
const blocks = (text: string, content: readonly object[]): object => ({ text, blocks: content });
