/**
 * A session's recording as a film and as a list of commands, with those that were refused from its chain, for who may see it.
 * Viewing is an event, as of every recording.
 * Refuses to search what it does not show: who may not see values in clear cannot find them by asking for them either.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { AsciicastWriter, CommandList, type FilmCommand, type FilmFrame, isFilmFrame } from '@sallyport/film';
import type { RecordingFrame } from '@sallyport/trail';
import type { Session } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { hideDetected } from '../masking/detected.ts';
import { Recordings } from '../recordings/recordings.service.ts';
import { type RefusedStatement, RefusedStatements } from '../trail/refused-statements.ts';
import type { CommandsQuery, CommandView, FilmQuery } from './sessions.dto.ts';
import { SessionsService } from './sessions.service.ts';
import { ShownStreams } from './shown-streams.ts';

@Injectable()
export class SessionFilms {
  constructor(
    private readonly sessions: SessionsService,
    private readonly recordings: Recordings,
    private readonly refused: RefusedStatements,
  ) {}

  /** Lines of asciicast v2. @throws GatewayError `recording.unavailable`, `recording.erased` */
  async film(caller: Caller, id: string, query: FilmQuery): Promise<AsyncGenerator<string>> {
    const session = await this.sessions.view(caller, id, query.clear === true, 'recording.viewed', {
      fromMs: query.from,
      form: 'film',
    });
    return filmOf(session, await this.recordings.replay(session.id, 0), query);
  }

  /** @throws GatewayError `recording.unavailable`, `recording.erased` */
  async commands(caller: Caller, id: string, query: CommandsQuery) {
    const { limit } = query;
    const asked = { ...query, after: Number(query.cursor ?? '0'), limit: limit + 1 };
    const { found, isWhole } = await this.found(caller, id, asked);
    if (!isWhole) throw new GatewayError('recording.unavailable', { session: id });
    const items = found.slice(0, limit);
    return { items, nextCursor: found.length > limit ? String(items.at(-1)?.number) : null };
  }

  /**
   * Commands behind the number `after`, in their order: what ran, from the recording; what was refused or waits, from the chain.
   * `isWhole` is false when there is more than can be read here.
   * @throws GatewayError `recording.erased`
   */
  async found(caller: Caller, id: string, asked: Asked): Promise<Found> {
    const session = await this.sessions.view(
      caller,
      id,
      asked.clear === true,
      'statements.viewed',
      asked.form === undefined ? {} : { form: asked.form },
    );
    const show = asked.clear === true ? (text: string) => text : hideDetected;
    const q = asked.q?.toLowerCase();
    const wanted = (text: string): boolean => q === undefined || show(text).toLowerCase().includes(q);
    const { after, limit } = asked;
    const refused = await this.refused.find(session, { after, limit, wanted });
    const ran = await this.#recorded(session);
    const byNumber = new Map<number, FilmCommand | undefined>(ran?.map((command) => [command.number, command]));
    for (const number of refused.found.keys()) if (!byNumber.has(number)) byNumber.set(number, undefined);
    const found: CommandView[] = [];
    for (const [number, command] of [...byNumber].sort(([a], [b]) => a - b)) {
      if (number <= after) continue;
      const view = viewOf(session, number, command, refused.found.get(number), show);
      if (q !== undefined && !view.text.toLowerCase().includes(q)) continue;
      found.push(view);
      if (found.length === limit) break;
    }
    return { found, isWhole: refused.isWhole && ran !== undefined };
  }

  /** @returns undefined when there should be a recording, and it is not here */
  async #recorded(session: Session): Promise<readonly FilmCommand[] | undefined> {
    const list = new CommandList();
    try {
      for await (const frame of await this.recordings.replay(session.id, 0)) if (isFilmFrame(frame)) list.add(frame);
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'recording.unavailable')) throw error;
      // Of a session in which nothing ran there is none.
      if ((await this.recordings.isNamed(session.id)) || (await this.refused.goesOn(session))) return undefined;
    }
    return list.commands();
  }
}

interface Found {
  readonly found: readonly CommandView[];
  readonly isWhole: boolean;
}

interface Asked {
  readonly after: number;
  readonly limit: number;
  readonly q?: string | undefined;
  readonly clear?: boolean | undefined;
  /** What the viewing was, on the record. */
  readonly form?: string;
}

function viewOf(
  session: Session,
  number: number,
  command: FilmCommand | undefined,
  refused: RefusedStatement | undefined,
  show: (text: string) => string,
): CommandView {
  const opened = session.openedAt.getTime();
  const atMs = command?.atMs ?? Math.max(0, (refused?.atMs ?? opened) - opened);
  return {
    number,
    at: new Date(opened + atMs).toISOString(),
    atMs,
    text: show(refused?.event.text ?? command?.text ?? ''),
    verdict: refused?.event.verdict ?? 'allow',
    refused:
      refused === undefined
        ? null
        : { rule: refused.event.rule, code: refused.event.code, approvalId: refused.event.approvalId },
    endMs: command?.endMs ?? null,
    code: command?.code ?? null,
    signal: command?.signal ?? null,
    shownBytes: command?.shownBytes ?? 0,
    terminal: command?.terminal ?? false,
  };
}

async function* filmOf(
  session: Session,
  frames: AsyncGenerator<RecordingFrame>,
  query: FilmQuery,
): AsyncGenerator<string> {
  const writer = new AsciicastWriter({
    openedAtMs: session.openedAt.getTime(),
    title: `${session.principalName} on ${session.resourceName}`,
    fromMs: query.from,
    ...(query.statement === undefined ? {} : { number: query.statement }),
  });
  const streams = new ShownStreams(query.clear === true);
  let lastMs = 0;
  for await (const frame of frames) {
    if (!isFilmFrame(frame)) continue;
    lastMs = frame.atMs;
    for (const shown of shownOf(frame, streams, query.clear === true)) yield writer.lines(shown);
  }
  for (const kept of streams.end()) yield writer.lines(outputOf(lastMs, kept));
  yield writer.end();
}

type Kept = ReturnType<ShownStreams['end']>[number];

const outputOf = (atMs: number, { number, stream, bytes }: Kept): FilmFrame =>
  stream === 'input'
    ? { kind: 'terminal_input', atMs, number, bytes }
    : { kind: 'terminal_output', atMs, number, stream, bytes };

function shownOf(frame: FilmFrame, streams: ShownStreams, clear: boolean): readonly FilmFrame[] {
  switch (frame.kind) {
    case 'terminal_output':
      return [{ ...frame, bytes: streams.show(frame.number, frame.stream, frame.atMs, frame.bytes) }];
    case 'terminal_input':
      return [{ ...frame, bytes: streams.show(frame.number, 'input', frame.atMs, frame.bytes) }];
    case 'statement':
      return [clear ? frame : { ...frame, text: hideDetected(frame.text) }];
    case 'exit':
    case 'stream_cut':
      return [...streams.end(frame.number).map((kept) => outputOf(frame.atMs, kept)), frame];
    case 'resize':
      return [frame];
    default:
      return frame satisfies never;
  }
}
