/**
 * What a message says, once for every channel that writes to people: a title, labelled lines, and a text as it was sent.
 * Pure. Nothing here is escaped: each channel escapes what it quotes. Texts arrive masked by the detectors.
 */
export interface Wording {
  /** One line. */
  readonly title: string;
  readonly lines: readonly { readonly label: string; readonly text: string }[];
  /** A statement, to be shown as it is. */
  readonly code: string | undefined;
  /** What to do, as a command. */
  readonly command: string | undefined;
}

const PARAMETERS_MAX = 10;

export function wordingOf(event: string, body: unknown): Wording {
  const data = (body ?? {}) as Readonly<Record<string, unknown>>;
  const text = (key: string): string => asText(data[key]);
  const lines = (...pairs: readonly (readonly [string, string])[]) =>
    pairs.filter(([, value]) => value !== '').map(([label, value]) => ({ label, text: value }));
  const none = { code: undefined, command: undefined };
  switch (event) {
    case 'approval.requested':
    case 'approval.escalated':
      return {
        title: `${event === 'approval.requested' ? 'Approval wanted' : 'Nobody has answered yet'}: ${text('principal')} on ${text('resource')}`,
        lines: lines(
          ['Who', text('onBehalfOf') === '' ? text('principal') : `${text('principal')} for ${text('onBehalfOf')}`],
          ['Resource', text('resource')],
          ['Rule', text('rule')],
          ['Why it is held', text('reason')],
          ['They say', text('askedReason')],
          ['Would commit', text('work')],
          ['Also as a shape', text('shape')],
          ['Parameters', parametersOf(data['parameters'])],
          ['Transaction', data['wroteInTransaction'] === true ? 'has written already' : ''],
          ['Expires', text('expiresAt')],
        ),
        code: text('statement'),
        command: `sallyport approvals show ${text('id')}`,
      };
    case 'approval.answered':
      return {
        title: `Approval ${text('id')}: ${text('state')}`,
        lines: lines(['Answer', text('state')], ['By', text('by')], ['Reason', text('reason')]),
        ...none,
      };
    case 'access.requested':
      return {
        title: `Access wanted: ${text('principal')} on ${text('target')}`,
        lines: lines(
          [
            'Who',
            text('requestedBy') === text('principal')
              ? text('principal')
              : `${text('principal')}, asked for by ${text('requestedBy')}`,
          ],
          ['On', text('target')],
          ['Effects', text('effects')],
          ['Roles', text('roles')],
          ['For', text('duration')],
          ['From', text('startAt')],
          ['Why', text('reason')],
          ['Ticket', text('ticket')],
          ['Prolongs', text('extends')],
          ['Policy', text('policy')],
          ['Expires', text('expiresAt')],
        ),
        code: undefined,
        command: `sallyport requests show ${text('id')}`,
      };
    case 'access.answered':
      return {
        title: `Access of ${text('principal')} on ${text('target')}: ${text('state')}`,
        lines: lines(
          ['Answer', text('state')],
          ['By', text('by')],
          ['Reason', text('reason')],
          ['Effects', text('effects')],
          ['From', text('notBefore')],
          ['Until', text('notAfter')],
        ),
        code: undefined,
        command: `sallyport requests show ${text('id')}`,
      };
    case 'change.proposed':
      return {
        title: `A change waits for a second admin: ${text('call')} of ${text('proposer')}`,
        lines: lines(
          ['Who', text('proposer')],
          ['Areas', text('areas')],
          ['Changes', text('changes')],
          ['Expires', text('expiresAt')],
        ),
        code: undefined,
        command: `sallyport proposals show ${text('id')}`,
      };
    case 'change.answered':
      return {
        title: `The change ${text('call')} of ${text('proposer')}: ${text('state')}`,
        lines: lines(
          ['Answer', text('state')],
          ['By', text('by')],
          ['Reason', text('reason')],
          ['Changes', text('changes')],
        ),
        code: undefined,
        command: `sallyport proposals show ${text('id')}`,
      };
    case 'approval.delegated':
      return {
        title: `Approval ${text('id')}: ${text('by')} handed their seat to ${text('to')}`,
        lines: lines(['By', text('by')], ['To', text('to')], ['Reason', text('reason')]),
        code: undefined,
        command: `sallyport approvals show ${text('id')}`,
      };
    case 'approval.commented':
      return {
        title: `Approval ${text('id')}: ${text('by')} said something`,
        lines: lines(['By', text('by')], ['Comment', text('text')]),
        code: undefined,
        command: `sallyport approvals show ${text('id')}`,
      };
    case 'account.break_glass':
      return {
        title: `An account for emergencies was used: ${text('principal')}`,
        lines: lines(['Who', text('principal')], ['At', text('at')]),
        ...none,
      };
    case 'review.started':
      return {
        title: `Access review ${text('review')}: round ${text('round')} has begun`,
        lines: lines(['Items', text('items')], ['Deadline', text('deadline')]),
        code: undefined,
        command: `sallyport reviews show ${text('review')}`,
      };
    case 'review.lapsed':
      return {
        title: `Access review ${text('review')}: the deadline of round ${text('round')} has passed`,
        lines: lines(['Without an answer', text('unanswered')], ['What becomes of them', text('afterReview')]),
        code: undefined,
        command: `sallyport reviews show ${text('review')}`,
      };
    case 'drift.found':
      return {
        title: `Access has moved away from its last review: ${text('count')} findings`,
        lines: findingsOf(data['findings']),
        code: undefined,
        command: 'sallyport reviews drift',
      };
    case 'trail.alarm':
      return {
        title: 'An agent’s record needs a look',
        lines: lines(['Agent', text('agentId')], ['Alarm', text('alarm')]),
        ...none,
      };
    case 'session.killed':
      return {
        title: `Session ${text('id')} was ended`,
        lines: lines(
          ['Of', text('principal')],
          ['On', text('resource')],
          ['By', text('by')],
          ['Reason', text('reason')],
        ),
        ...none,
      };
    default:
      return {
        title: `Sallyport: ${event}`,
        lines: Object.entries(data)
          .map(([label, value]) => ({ label, text: asText(value) }))
          .filter((line) => line.text !== ''),
        ...none,
      };
  }
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? value.map(asText).join(', ') : '';
}

/** `kind: target: what`, one each. */
const findingsOf = (value: unknown): readonly { readonly label: string; readonly text: string }[] =>
  (Array.isArray(value) ? (value as readonly Readonly<Record<string, unknown>>[]) : []).map((one) => ({
    label: asText(one['kind']),
    text: `${asText(one['target'])}: ${asText(one['what'])}`,
  }));

function parametersOf(value: unknown): string {
  const all = Array.isArray(value) ? (value as readonly unknown[]) : [];
  const shown = all.slice(0, PARAMETERS_MAX).map((one) => (one === null ? 'NULL' : asText(one)));
  if (all.length > PARAMETERS_MAX) shown.push(`… (${all.length - PARAMETERS_MAX} more)`);
  return shown.join(', ');
}

/** For titles and headers: what breaks a line, hides or turns text round becomes a space, and it is cut. @param max characters */
export function oneLine(text: string, max = 150): string {
  const flat = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  const characters = Array.from(flat);
  return characters.length <= max ? flat : `${characters.slice(0, max).join('')}…`;
}

/** The same for a text of several lines: each keeps its line, controls go. */
export const plainText = (text: string, max: number): string => {
  const clean = text.replaceAll(/[\u202A-\u202E\u2066-\u2069]|[^\P{Cc}\n\t]/gu, '\uFFFD');
  const characters = Array.from(clean);
  return characters.length <= max ? clean : `${characters.slice(0, max).join('')}…`;
};
