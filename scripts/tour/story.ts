/**
 * Telling and checking: a chapter is a function of steps, each a claim with its evidence. The first broken promise ends its
 * chapter; the tour goes on, so that one run shows all that is wrong. Refuses to know what is told.
 */
export interface StepResult {
  readonly claim: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly evidence: string;
}

export interface ChapterResult {
  readonly chapter: string;
  readonly title: string;
  readonly ok: boolean;
  readonly steps: readonly StepResult[];
}

/** Runs one claim; `check` returns the evidence or throws what broke the promise. */
export type Step = (claim: string, check: () => Promise<string> | string) => Promise<void>;

export interface Chapter<Context> {
  readonly name: string;
  readonly title: string;
  /** One sentence of the story. */
  readonly intro: string;
  run(context: Context, step: Step): Promise<void>;
}

class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

/** @throws BrokenPromise with `message` unless `holds` */
export function promise(holds: boolean, message: string): asserts holds {
  if (!holds) throw new BrokenPromise(message);
}

export async function tell<Context>(
  chapters: readonly Chapter<Context>[],
  context: Context,
  say: (line: string) => void,
): Promise<ChapterResult[]> {
  const results: ChapterResult[] = [];
  for (const [index, chapter] of chapters.entries()) {
    say(`\n${index + 1}. ${chapter.title}\n   ${chapter.intro}`);
    const steps: StepResult[] = [];
    const step: Step = async (claim, check) => {
      try {
        const evidence = await check();
        steps.push({ claim, ok: true, evidence });
        say(`   ✓ ${claim}${evidence === '' ? '' : `\n       ${evidence.replaceAll('\n', '\n       ')}`}`);
      } catch (error) {
        const evidence = error instanceof Error ? error.message : String(error);
        steps.push({ claim, ok: false, evidence });
        say(`   ✗ ${claim}\n       ${evidence}`);
        throw new BrokenPromise(claim);
      }
    };
    try {
      await chapter.run(context, step);
    } catch (error) {
      if (!(error instanceof BrokenPromise)) {
        const evidence = error instanceof Error ? (error.stack ?? error.message) : String(error);
        steps.push({ claim: 'the chapter runs to its end', ok: false, evidence });
        say(`   ✗ ${evidence}`);
      }
    }
    results.push({
      chapter: chapter.name,
      title: chapter.title,
      ok: steps.every((s) => s.ok) && steps.length > 0,
      steps,
    });
  }
  return results;
}
