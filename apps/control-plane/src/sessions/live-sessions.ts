/**
 * Sessions as they happen: what agents report between the trail's events, ends that are pushed to agents, and watching.
 * The trail's word replaces a report. Refuses to keep frames: who watches gets them, nobody else does.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { parseSessionReport, type SessionReport } from '@sallyport/model';
import { Bus } from '../bus/bus.ts';
import { SessionsRepository } from './sessions.repository.ts';

export interface ReportingAgent {
  readonly agentId: string;
  readonly projectId: string;
  /** The chain its process writes, as its greeting said. */
  readonly instance: string;
  readonly chainEpoch: number;
}

type Watcher = (frame: Buffer) => void;

@Injectable()
export class LiveSessions implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #watchers = new Map<string, { readonly agentId: string; readonly watchers: Set<Watcher> }>();
  #ends: (() => void)[] = [];
  readonly #closing = new AbortController();
  constructor(
    private readonly repository: SessionsRepository,
    private readonly bus: Bus,
  ) {}

  onApplicationBootstrap(): void {
    this.#ends = [
      this.bus.subscribe('frame', ({ sessionId, agentId, frame }) => {
        const watched = this.#watchers.get(sessionId);
        // Only the agent that has the session shows it.
        if (watched === undefined || watched.agentId !== agentId) return;
        const bytes = Buffer.from(frame, 'base64');
        for (const watcher of watched.watchers) watcher(bytes);
      }),
      // Another replica's last watcher left while one of ours still looks.
      this.bus.subscribe('watch', ({ sessionId, agentId, on }) => {
        if (!on && this.#watchers.has(sessionId)) void this.bus.publish('watch', { sessionId, agentId, on: true });
      }),
    ];
  }

  /** Aborts when this process stops: open views end then. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  onModuleDestroy(): void {
    this.#closing.abort();
    for (const end of this.#ends) end();
  }

  /** @throws GatewayError `protocol.malformed` when it is not a session of that agent */
  async report(agent: ReportingAgent, bytes: Uint8Array): Promise<void> {
    const report = readReport(bytes);
    if (report.agentId !== agent.agentId || report.projectId !== agent.projectId)
      throw new GatewayError('protocol.malformed', { what: 'session' });
    await this.repository.report(report, agent);
  }

  /** A live frame from an agent; told to whichever replica somebody watches at. */
  async frame(agentId: string, sessionId: string, frame: Buffer): Promise<void> {
    await this.bus.publish('frame', { sessionId, agentId, frame: frame.toString('base64') });
  }

  /** Ends a session at its agent, wherever the agent is connected. */
  async end(agentId: string, sessionId: string, code: 'session.killed' | 'session.revoked'): Promise<void> {
    await this.bus.publish('end', { agentId, sessionId, code });
  }

  /** @returns a function that stops watching */
  async watch(agentId: string, sessionId: string, watcher: Watcher): Promise<() => void> {
    const entry = this.#watchers.get(sessionId) ?? { agentId, watchers: new Set<Watcher>() };
    this.#watchers.set(sessionId, entry);
    entry.watchers.add(watcher);
    await this.bus.publish('watch', { agentId, sessionId, on: true });
    return () => {
      entry.watchers.delete(watcher);
      if (entry.watchers.size > 0 || !this.#watchers.delete(sessionId)) return;
      void this.bus.publish('watch', { agentId, sessionId, on: false });
    };
  }

  /** Sessions of an agent that somebody watches at this replica: told again when its link comes back. */
  watchedOf(agentId: string): readonly string[] {
    return [...this.#watchers].filter(([, entry]) => entry.agentId === agentId).map(([id]) => id);
  }
}

function readReport(bytes: Uint8Array): SessionReport {
  try {
    return parseSessionReport(JSON.parse(Buffer.from(bytes).toString('utf8')), '');
  } catch (cause) {
    throw new GatewayError('protocol.malformed', { what: 'session' }, { cause });
  }
}
