/**
 * Messages as blocks that Slack's incoming webhooks show. Texts arrive masked by the detectors.
 * Refuses to let a text end its block, mention anybody, or grow beyond what Slack takes: a refused message would be lost.
 * Slack: docs.slack.dev/messaging/formatting-message-text (escaping), reference/block-kit/blocks/section-block (3,000).
 */

import { oneLine, wordingOf } from './wording.ts';

// Together below the 3,000 units of one section's text.
const STATEMENT_MAX = 2_500;
const SECTION_MAX = 2_900;
const LINE_MAX = 600;
const LINES_MAX = 100;
const PARAMETERS_MAX = 10;
const PARAMETER_MAX = 60;

const ESCAPED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** @param max units that the escaped text may have: each `<` becomes four */
function textOf(value: unknown, max = LINE_MAX): string {
  if (typeof value !== 'string' && typeof value !== 'number') return '';
  const text = String(value);
  let out = '';
  for (const character of text) {
    const next = ESCAPED[character] ?? character;
    if (out.length + next.length > max) return `${out}…`;
    out += next;
  }
  return out;
}

/** For text between backticks, which nothing escapes. */
const codeOf = (value: unknown, max = LINE_MAX): string => textOf(value, max).replaceAll('`', "'");

export function slackOf(event: string, body: unknown): object {
  const data = (body ?? {}) as Readonly<Record<string, unknown>>;
  const line = (key: string): string => textOf(data[key]);
  const code = (key: string): string => codeOf(data[key]);
  switch (event) {
    case 'approval.requested':
    case 'approval.escalated':
      return blocks(
        `${event === 'approval.requested' ? 'Approval wanted' : 'Nobody has answered yet'}: ${line('principal')} on ${line('resource')}`,
        [
          `*${line('principal')}*${line('onBehalfOf') === '' ? '' : ` for *${line('onBehalfOf')}*`} asks to run this on *${line('resource')}*`,
          `\`\`\`${codeOf(data['statement'], STATEMENT_MAX)}\`\`\``,
          ...parametersOf(data['parameters']),
          ...(line('shape') === '' ? [] : [`Also as a shape: ${line('shape')}`]),
          ...(line('work') === '' ? [] : [`Would commit: ${line('work')}`]),
          `Rule \`${code('rule')}\`: ${line('reason')}${data['wroteInTransaction'] === true ? '\nIts transaction has written already.' : ''}`,
          ...(line('askedReason') === '' ? [] : [`They say: ${line('askedReason')}`]),
          `Expires ${line('expiresAt')}. Look and answer: \`sallyport approvals show ${code('id')}\``,
        ],
      );
    case 'approval.answered': {
      const by = line('by') === '' ? '' : ` by ${line('by')}`;
      const reason = line('reason') === '' ? '' : `: ${line('reason')}`;
      return blocks(`Approval ${line('id')}: ${line('state')}`, [
        `*${line('id')}* was *${line('state')}*${by}${reason}`,
      ]);
    }
    case 'trail.alarm':
      return blocks('An agent’s record needs a look', [
        `:rotating_light: The record of agent \`${code('agentId')}\`: \`${code('alarm')}\``,
      ]);
    case 'session.killed':
      return blocks(`Session ${line('id')} was ended`, [
        `Session \`${code('id')}\` of *${line('principal')}* was ended by *${line('by')}*: ${line('reason')}`,
      ]);
    case 'credential.refused':
      return blocks(`A server refused credential ${line('credential')}`, [
        `:key: *${line('resource')}* refused credential *${line('credential')}* (${line('value')} value)${data['fallsBack'] === true ? ', the one before it is used' : ''}`,
      ]);
    case 'credential.rotation_failed':
      return blocks(`Rotating credential ${line('credential')} failed`, [
        `:key: Rotating credential *${line('credential')}* failed: \`${code('code')}\` (${line('state')})`,
      ]);
    default: {
      const { title, lines, command } = wordingOf(event, body);
      return blocks(textOf(oneLine(title)), [
        `*${codeOf(oneLine(title))}*`,
        // Slack takes 50 blocks.
        ...sectionsOf(lines.slice(0, LINES_MAX).map((one) => `*${codeOf(one.label)}*: ${codeOf(one.text)}`)),
        ...(command === undefined ? [] : [`Look and answer: \`${codeOf(oneLine(command))}\``]),
      ]);
    }
  }
}

/** Lines gathered to as few sections as hold them. */
function sectionsOf(lines: readonly string[]): readonly string[] {
  const sections: string[] = [];
  for (const text of lines) {
    const last = sections.at(-1);
    if (last !== undefined && last.length + text.length < SECTION_MAX)
      sections[sections.length - 1] = `${last}\n${text}`;
    else sections.push(text);
  }
  return sections;
}

/** Short: what a person needs in full stands in `approvals show`. */
function parametersOf(value: unknown): readonly string[] {
  const all = Array.isArray(value) ? (value as readonly unknown[]) : [];
  const shown = all
    .slice(0, PARAMETERS_MAX)
    .map((one) => (one === null ? 'NULL' : `\`${codeOf(one, PARAMETER_MAX)}\``));
  if (all.length > PARAMETERS_MAX) shown.push(`… (${all.length - PARAMETERS_MAX} more)`);
  return shown.length === 0 ? [] : [`with ${shown.join(', ')}`];
}

const blocks = (text: string, sections: readonly string[]): object => ({
  text,
  blocks: sections.map((section) => ({
    type: 'section',
    text: { type: 'mrkdwn', text: section },
  })),
});
