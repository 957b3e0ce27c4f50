/**
 * Test-only: a real program on a real terminal, by util-linux' `script`, which is on every Debian. Keys in, bytes out with their
 * times. Refuses sizes: the shell inside sets them (`stty`).
 */
import { type ChildProcess, spawn } from 'node:child_process';

export interface Shown {
  readonly atMs: number;
  readonly bytes: Buffer;
}

export class PtyProgram {
  static readonly #open = new Set<PtyProgram>();
  /** What a failed test left. */
  static async endAll(): Promise<void> {
    for (const program of PtyProgram.#open) await program.end();
  }

  readonly shown: Shown[] = [];
  readonly #child: ChildProcess;
  readonly #startedAtMs = performance.now();
  #text = '';
  onShown: ((bytes: Buffer) => void) | undefined;

  constructor(command: string, environment: Record<string, string> = {}) {
    this.#child = spawn('script', ['-qfec', command, '/dev/null'], {
      env: { PATH: process.env['PATH'], TERM: 'xterm-256color', LANG: 'C.UTF-8', HOME: '/nonexistent', ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    PtyProgram.#open.add(this);
    this.#child.stdout!.on('data', (bytes: Buffer) => {
      this.shown.push({ atMs: Math.round(performance.now() - this.#startedAtMs), bytes });
      this.#text += bytes.toString('latin1');
      this.onShown?.(bytes);
    });
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  /** Until `text` was shown since the last wait. */
  async until(text: string | RegExp): Promise<void> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const match = typeof text === 'string' ? this.#text.indexOf(text) : this.#text.search(text);
      if (match >= 0) {
        const found = typeof text === 'string' ? text : (text.exec(this.#text)?.[0] ?? '');
        this.#text = this.#text.slice(match + found.length);
        return;
      }
      if (performance.now() > deadline)
        throw new Error(`never shown: ${String(text)}; but ${JSON.stringify(this.#text.slice(-400))}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Nothing was shown for a while. */
  async quiet(ms = 150): Promise<void> {
    for (let count = -1; count !== this.shown.length; ) {
      count = this.shown.length;
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  async end(): Promise<void> {
    PtyProgram.#open.delete(this);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const left = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 1_000);
    await left;
    clearTimeout(timer);
  }
}
