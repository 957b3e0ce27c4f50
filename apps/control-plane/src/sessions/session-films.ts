/**
 * A session's recording as a film and as a list of commands, for who may see it. Viewing is an event, as of every recording.
 * Refuses to search what it does not show: who may not see values in clear cannot find them by asking for them either.
 */
import { Injectable } from '@nestjs/common';
import { AsciicastWriter, CommandList, type FilmFrame, isFilmFrame } from '@sallyport/film';
import type { RecordingFrame } from '@sallyport/trail';
import type { Session } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { hideDetected } from '../masking/detected.ts';
import { Recordings } from '../recordings/recordings.service.ts';
import type { CommandsQuery, CommandView, FilmQuery } from './sessions.dto.ts';
import { SessionsService } from './sessions.service.ts';
import { ShownStreams } from './shown-streams.ts';

@Injectable()
export class SessionFilms {
  constructor(
    private readonly sessions: SessionsService,
    private readonly recordings: Recordings,
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
    const found = await this.found(caller, id, { ...query, after: Number(query.cursor ?? '0'), limit: limit + 1 });
    const items = found.slice(0, limit);
    return { items, nextCursor: found.length > limit ? String(items.at(-1)?.number) : null };
  }

  /**
   * Commands behind the number `after`, in their order.
   * @throws GatewayError `recording.unavailable`, `recording.erased`
   */
  async found(caller: Caller, id: string, asked: Asked): Promise<readonly CommandView[]> {
    const session = await this.sessions.view(
      caller,
      id,
      asked.clear === true,
      'statements.viewed',
      asked.form === undefined ? {} : { form: asked.form },
    );
    const list = new CommandList();
    for await (const frame of await this.recordings.replay(session.id, 0)) if (isFilmFrame(frame)) list.add(frame);
    const wanted = asked.q?.toLowerCase();
    const found: CommandView[] = [];
    for (const command of list.commands()) {
      if (command.number <= asked.after) continue;
      const text = asked.clear === true ? command.text : hideDetected(command.text);
      if (wanted !== undefined && !text.toLowerCase().includes(wanted)) continue;
      found.push({
        number: command.number,
        at: new Date(session.openedAt.getTime() + command.atMs).toISOString(),
        atMs: command.atMs,
        text,
        endMs: command.endMs ?? null,
        code: command.code ?? null,
        signal: command.signal ?? null,
        shownBytes: command.shownBytes,
        terminal: command.terminal,
      });
      if (found.length === asked.limit) break;
    }
    return found;
  }
}

interface Asked {
  readonly after: number;
  readonly limit: number;
  readonly q?: string | undefined;
  readonly clear?: boolean | undefined;
  /** What the viewing was, on the record. */
  readonly form?: string;
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
