/**
 * Texts that come in pieces, one in each message (a language model's tokens): what stands at a path, message after message, is
 * one text to the detectors. What may be the beginning of a find waits for the next piece, never the message it came in; what
 * waits at the end goes in one more message like the last. Limits: joinedTextsMax, joinedMessageBytesMax, streamHeldBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import { createStreamMasker, JsonMasker, type JsonMaskerOptions, JsonPlan, type StreamMasker } from '@sallyport/mask';
import { type HttpTextStream, type JsonStep, type MaskSet, parseJsonPath } from '@sallyport/model';
import { maskLines } from './message-text.ts';

/** One message to be sent, and what goes with it (an event's name). */
export interface JoinedMessage<C> {
  readonly data: Uint8Array;
  readonly context: C;
}
/** What is shown of a message, and what stands before it. */
export interface ShownMessage<C> {
  readonly before: readonly JoinedMessage<C>[];
  readonly data: Uint8Array;
}

interface Path {
  /** Undefined: a mask has it, or an earlier path. */
  readonly steps: readonly JsonStep[] | undefined;
  readonly by: readonly string[];
  readonly ends: readonly string[];
}
type Marks = ReadonlyMap<string, unknown>;
/** One text of the stream. */
interface Joined<C> {
  readonly marks: Marks;
  readonly masker: StreamMasker;
  /** A character that is cut behind the masker. */
  half: Uint8Array;
  last: JoinedMessage<C>;
}
interface Piece {
  readonly lane: string;
  readonly marks: Marks;
  readonly isEmpty: boolean;
}

const NOTHING = new Uint8Array(0);
/** Members that tell texts of one stream apart: OpenAI, Anthropic and what speaks like them. */
const BY = ['index', 'output_index', 'content_index', 'item_id'];
/** Members that say that a text is over, with any value but null, false and ''. */
const OVER: ReadonlySet<string> = new Set(['finish_reason', 'finishReason', 'stop_reason', 'done', 'done_reason']);
/** Names and types of messages behind which nothing of a text comes. */
const LAST = /(?:^|[._-])(?:stop|done|end|ended|complete|completed|incomplete|failed|error|cancelled)$/;
/** How deep a message is looked through for what ends a text. */
const DEPTH_MAX = 8;

const plans = new WeakMap<readonly HttpTextStream[], WeakMap<object, JsonPlan>>();
const NO_PATHS: object = {};

/** @returns undefined where no text is looked into */
export function openJoinedTexts<C>(
  masks: MaskSet,
  key: JsonMaskerOptions['key'],
  streams: readonly HttpTextStream[] | undefined,
): JoinedTexts<C> | undefined {
  if (streams === undefined || streams.length === 0 || masks.detect.length === 0) return undefined;
  const json = masks.json ?? [];
  const bySet = plans.get(streams) ?? new WeakMap<object, JsonPlan>();
  plans.set(streams, bySet);
  const id = masks.json ?? NO_PATHS;
  let plan = bySet.get(id);
  if (plan === undefined) {
    plan = new JsonPlan(
      json,
      streams.map(({ path }) => path),
    );
    bySet.set(id, plan);
  }
  return new JoinedTexts({ plan: json.length === 0 ? undefined : plan, detect: masks.detect, key }, plan, streams);
}

/** One per body, or direction of a WebSocket. */
export class JoinedTexts<C> {
  readonly #masks: JsonMaskerOptions;
  readonly #plan: JsonPlan;
  readonly #paths: readonly Path[];
  /** Of all paths. */
  readonly #by: readonly string[];
  readonly #lanes = new Map<string, Joined<C>>();

  constructor(masks: JsonMaskerOptions, plan: JsonPlan, streams: readonly HttpTextStream[]) {
    this.#masks = masks;
    this.#plan = plan;
    this.#paths = streams.map(({ path, by = BY, ends = [] }, i) => ({ steps: ownSteps(plan, path, i), by, ends }));
    this.#by = [...new Set(this.#paths.flatMap(({ by }) => by))];
  }

  get heldBytes(): number {
    let bytes = 0;
    for (const { masker, half } of this.#lanes.values()) bytes += masker.heldBytes + half.length;
    return bytes;
  }

  /**
   * @param data lent for the call
   * @param name of an event; '' without
   * @returns undefined when it cannot be vouched for
   */
  mask(data: Uint8Array, name: string, context: C): ShownMessage<C> | undefined {
    const document = parsed(data);
    if (document === undefined) {
      // A document to others perhaps, also behind a byte order mark: it could hold a piece.
      const first = data.find((byte) => byte > 32);
      if ((first === 123 || first === 91 || first === 0xef) && !isDone(data)) return undefined;
      const shown = maskLines(data, this.#masks);
      return shown === undefined ? undefined : { before: isDone(data) ? this.end() : [], data: shown };
    }
    const pieces = this.#paths.map((path, i) => piecesOf(document, path, i));
    const open = new Set(pieces.flatMap((all) => all.filter(({ isEmpty }) => !isEmpty).map(({ lane }) => lane)));
    const over = this.#over(document, name, open);
    // What is over and has a place in this message ends there.
    const inPlace = new Set(pieces.flatMap((all) => all.map(({ lane }) => lane)).filter((lane) => over.has(lane)));
    const before = this.#endOf([...over].filter((lane) => !inPlace.has(lane)));
    if (data.length > LIMITS.joinedMessageBytesMax && open.size > 0) return undefined;
    const kept: JoinedMessage<C> = { data: open.size > 0 ? Uint8Array.from(data) : NOTHING, context };
    const shown = this.#masked(data, pieces, (text, piece) => {
      if (piece.isEmpty && !inPlace.has(piece.lane)) return text;
      const lane = this.#lane(piece, kept);
      if (lane === undefined) return undefined;
      const released = pushed(lane, text);
      return inPlace.has(piece.lane) ? Buffer.concat([released, this.#rest(piece.lane)]) : released;
    });
    return shown === undefined ? undefined : { before, data: shown };
  }

  /** The stream is over: what waits, in messages like those it came in. */
  end(): readonly JoinedMessage<C>[] {
    return this.#endOf([...this.#lanes.keys()]);
  }

  #endOf(lanes: readonly string[]): readonly JoinedMessage<C>[] {
    return lanes.flatMap((lane) => {
      const joined = this.#lanes.get(lane);
      if (joined === undefined) return [];
      const rest = this.#rest(lane);
      if (rest.length === 0) return [];
      const { data, context } = joined.last;
      const document = parsed(data);
      const pieces = this.#paths.map((path, i) => piecesOf(document, path, i));
      let isFirst = true;
      const shown = this.#masked(data, pieces, (_text, piece) => {
        if (piece.lane !== lane || !isFirst) return NOTHING;
        isFirst = false;
        return rest;
      });
      return shown === undefined ? [] : [{ data: shown, context }];
    });
  }

  /** Texts that end with this message. One that it brings more of does not: there are services that say so each time. */
  #over(document: unknown, name: string, open: ReadonlySet<string>): ReadonlySet<string> {
    const over = new Set<string>();
    if (this.#lanes.size === 0) return over;
    const type = member(document, 'type');
    const names = [name, typeof type === 'string' ? type : ''];
    const isLast = (ends: readonly string[]): boolean =>
      names.some((one) => one !== '' && (ends.length > 0 ? ends.includes(one) : LAST.test(one)));
    const marked = endsIn(document, new Map(), this.#by, 0);
    for (const [lane, { marks }] of this.#lanes) {
      if (open.has(lane)) continue;
      const { ends } = this.#paths[Number.parseInt(lane, 10)]!;
      const ended = isLast(ends) ? [...marked, marksOf(document, marks)] : ends.length > 0 ? [] : marked;
      if (ended.some((those) => agree(marks, those))) over.add(lane);
    }
    return over;
  }

  /** Every string at a path in turn; undefined when the message is not what it was parsed as. */
  #masked(
    data: Uint8Array,
    pieces: readonly (readonly Piece[])[],
    show: (text: Uint8Array, piece: Piece) => Uint8Array | undefined,
  ): Uint8Array | undefined {
    const counts = pieces.map(() => 0);
    const masker = new JsonMasker({
      plan: this.#plan,
      detect: this.#masks.detect,
      key: this.#masks.key,
      text: (path, text) => {
        const piece = pieces[path]?.[counts[path]!++];
        return piece === undefined ? undefined : show(text, piece);
      },
    });
    const head = masker.push(data);
    const shown = Buffer.concat([head, masker.end()]);
    // A member that stands twice would be read by each as it likes.
    return masker.broken || pieces.some((all, path) => counts[path] !== all.length) ? undefined : shown;
  }

  #lane(piece: Piece, last: JoinedMessage<C>): Joined<C> | undefined {
    let joined = this.#lanes.get(piece.lane);
    if (joined === undefined) {
      if (this.#lanes.size === LIMITS.joinedTextsMax) return undefined;
      const masker = createStreamMasker(this.#masks.detect, this.#masks.key);
      joined = { marks: piece.marks, masker, half: NOTHING, last };
      this.#lanes.set(piece.lane, joined);
    } else if (last.data.length > 0) joined.last = last;
    return joined;
  }

  #rest(lane: string): Uint8Array {
    const joined = this.#lanes.get(lane);
    if (joined === undefined) return NOTHING;
    this.#lanes.delete(lane);
    return Buffer.concat([joined.half, joined.masker.flush()]);
  }
}

/** A message shows whole characters. */
function pushed<C>(joined: Joined<C>, text: Uint8Array): Uint8Array {
  const all = Buffer.concat([joined.half, joined.masker.push(text)]);
  let at = all.length - 1;
  while (at > all.length - 4 && at > 0 && (all[at]! & 0xc0) === 0x80) at--;
  const lead = all[at] ?? 0;
  const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  const cut = all.length > 0 && at + size > all.length ? at : all.length;
  joined.half = Uint8Array.from(all.subarray(cut));
  return all.subarray(0, cut);
}

/** How OpenAI's streams end. */
const isDone = (data: Uint8Array): boolean =>
  data.length < 64 && Buffer.from(data).toString('latin1').trim().toUpperCase() === '[DONE]';

function parsed(data: Uint8Array): unknown {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8');
  try {
    // What the masker takes for a value, too.
    const plain = /NaN|Infinity/.test(text)
      ? text.replaceAll(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) => (token.startsWith('"') ? token : 'null'))
      : text;
    const document: unknown = JSON.parse(plain);
    return typeof document === 'object' && document !== null ? document : undefined;
  } catch {
    return undefined;
  }
}

/** The way to a text, unless a mask names what stands there or on the way, or another text does. */
function ownSteps(plan: JsonPlan, path: string, which: number): readonly JsonStep[] | undefined {
  const steps = parseJsonPath(path);
  if (steps === undefined) return undefined;
  let state = plan.start;
  for (const step of steps) {
    if (plan.method(state) !== undefined) return undefined;
    if (step.kind === 'element') state = plan.element(state);
    else if (step.kind === 'key') {
      const name = Buffer.from(step.name);
      state = plan.key(state, name, 0, name.length);
    } else return undefined;
  }
  return plan.method(state) === undefined && plan.text(state) === which ? steps : undefined;
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;

function withMarks(marks: Marks, value: unknown, by: readonly string[]): Marks {
  let made = marks;
  for (const name of by) {
    const mark = member(value, name);
    if (typeof mark === 'string' || typeof mark === 'number') made = new Map(made).set(name, mark);
  }
  return made;
}

/** Strings at a path, in the order of the document. */
function piecesOf(document: unknown, { steps, by }: Path, path: number): readonly Piece[] {
  const pieces: Piece[] = [];
  if (steps === undefined) return pieces;
  const walk = (value: unknown, step: number, marks: Marks, places: string): void => {
    const here = Array.isArray(value) ? marks : withMarks(marks, value, by);
    const next = steps[step];
    if (next === undefined) {
      if (typeof value !== 'string') return;
      // Where nothing tells texts apart their places do.
      const told = here.size > 0 ? JSON.stringify([...here].sort(([a], [b]) => (a < b ? -1 : 1))) : places;
      pieces.push({ lane: `${path} ${told}`, marks: here, isEmpty: value === '' });
    } else if (next.kind === 'element') {
      if (Array.isArray(value)) value.forEach((item, i) => walk(item, step + 1, here, `${places}.${i}`));
    } else if (next.kind === 'key' && !Array.isArray(value)) walk(member(value, next.name), step + 1, here, places);
  };
  walk(document, 0, new Map(), '');
  return pieces;
}

/** What tells texts apart where a message says that one is over. */
function endsIn(value: unknown, marks: Marks, by: readonly string[], depth: number): readonly Marks[] {
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return [];
  if (Array.isArray(value)) return value.flatMap((item) => endsIn(item, marks, by, depth + 1));
  const here = withMarks(marks, value, by);
  const ends: Marks[] = [];
  for (const [name, inner] of Object.entries(value)) {
    if (OVER.has(name) && inner !== null && inner !== false && inner !== '') ends.push(here);
    else ends.push(...endsIn(inner, here, by, depth + 1));
  }
  return ends;
}
const marksOf = (document: unknown, marks: Marks): Marks => withMarks(new Map(), document, [...marks.keys()]);

/** Nothing that both say differs. */
const agree = (marks: Marks, those: Marks): boolean =>
  [...those].every(([name, value]) => !marks.has(name) || marks.get(name) === value);
