/**
 * Backend messages of PostgreSQL, read out of the bytes that came, for tests that look at the wire itself.
 * Refuses to interpret a cell; unknown messages are kept as they are. PostgreSQL "Message Formats".
 */
export interface Answer {
  /** The type byte, as `Z`. */
  readonly type: string;
  readonly body: Buffer;
}

/** Whole messages at the start of `bytes`. */
export function answersIn(bytes: Buffer): { readonly answers: readonly Answer[]; readonly used: number } {
  const answers: Answer[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) break;
    answers.push({ type: String.fromCharCode(bytes[at]!), body: bytes.subarray(at + 5, end) });
    at = end;
  }
  return { answers, used: at };
}

/** Of an ErrorResponse or NoticeResponse, by field letter. */
export function fieldsOf(body: Buffer): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const letter = String.fromCharCode(body[at]!);
    const end = body.indexOf(0, at + 1);
    fields[letter] = body.toString('utf8', at + 1, end);
    at = end + 1;
  }
  return fields;
}

/** Of a DataRow; null = NULL. */
export function cellsOf(body: Buffer): readonly (Buffer | null)[] {
  const cells: (Buffer | null)[] = [];
  let at = 2;
  for (let i = body.readUInt16BE(0); i > 0; i--) {
    const length = body.readInt32BE(at);
    at += 4;
    cells.push(length < 0 ? null : body.subarray(at, at + length));
    if (length > 0) at += length;
  }
  return cells;
}

export interface Refused {
  readonly sqlstate: string;
  readonly message: string;
  /** From DETAIL when it is the gateway's line of JSON; '' otherwise. */
  readonly rule: string;
  readonly reason: string;
  readonly fatal: boolean;
}

/** What a client learned, in the words tests use. */
export interface Seen {
  readonly errors: readonly Refused[];
  /** Command tags. */
  readonly tags: readonly string[];
  /** Cells as UTF-8. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Approval request ids of holds that were announced. */
  readonly held: readonly string[];
  /** Transaction status of each ReadyForQuery, as `IIT`. */
  readonly ready: string;
  /** All message types, in order. */
  readonly types: string;
}

const detailOf = (text: string | undefined): { rule: string; reason: string; requestId: string } => {
  try {
    const parsed = JSON.parse(text ?? '') as { rule?: string; reason?: string; requestId?: string };
    return { rule: parsed.rule ?? '', reason: parsed.reason ?? '', requestId: parsed.requestId ?? '' };
  } catch {
    return { rule: '', reason: '', requestId: '' };
  }
};

export function seenIn(answers: readonly Answer[]): Seen {
  const errors: Refused[] = [];
  const tags: string[] = [];
  const rows: (string | null)[][] = [];
  const held: string[] = [];
  let ready = '';
  for (const { type, body } of answers) {
    if (type === 'E') {
      const fields = fieldsOf(body);
      const { rule, reason } = detailOf(fields['D']);
      errors.push({
        sqlstate: fields['C'] ?? '',
        message: fields['M'] ?? '',
        rule,
        reason,
        fatal: fields['V'] === 'FATAL',
      });
    } else if (type === 'N') {
      const { reason, requestId } = detailOf(fieldsOf(body)['D']);
      if (reason === 'approval.wait' && !held.includes(requestId)) held.push(requestId);
    } else if (type === 'C') tags.push(body.toString('utf8', 0, body.length - 1));
    else if (type === 'D') rows.push(cellsOf(body).map((cell) => (cell === null ? null : cell.toString('utf8'))));
    else if (type === 'Z') ready += String.fromCharCode(body[0]!);
  }
  return { errors, tags, rows, held, ready, types: answers.map((answer) => answer.type).join('') };
}
