/**
 * What the control plane says when it does not do what was asked: an RFC 9457 problem, as a typed error.
 * Refuses to guess: an answer that is no problem document keeps its HTTP status and the code `http.<status>`.
 */

/** One wrong field, or one wrong line of a document. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

interface ProblemParts {
  readonly code: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly title: string;
  readonly requestId?: string;
  readonly errors?: readonly FieldError[];
  /** RFC 6749 section 5.2 error of /v1/oauth, as `authorization_pending`. */
  readonly oauthError?: string;
  /** Seconds to wait, from Retry-After. */
  readonly retryAfterSeconds?: number;
  readonly stepUp?: StepUp;
}

/** With `auth.step_up`: what the sign-in has to prove, and where to sign in again. */
export interface StepUp {
  readonly url: string;
  readonly maxAgeSeconds?: number;
  readonly amr?: readonly string[];
  readonly acr?: readonly string[];
}

/** Callers switch on `code`, never on the message. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly status: number;
  readonly requestId: string | undefined;
  readonly errors: readonly FieldError[];
  readonly oauthError: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly stepUp: StepUp | undefined;
  constructor(problem: ProblemParts, options?: { readonly cause?: unknown }) {
    super(problem.title, options);
    this.code = problem.code;
    this.status = problem.status;
    this.requestId = problem.requestId;
    this.errors = problem.errors ?? [];
    this.oauthError = problem.oauthError;
    this.retryAfterSeconds = problem.retryAfterSeconds;
    this.stepUp = problem.stepUp;
  }
}

/** A write that was taken as a proposal: what was asked for is not done until a second admin agrees. */
export const proposedAs = (id: string): ApiError =>
  new ApiError({
    code: 'change.proposed',
    status: 202,
    title: `This change waits for a second admin: sallyport proposals approve ${id}`,
  });

/** Reads the problem out of an answer that is not 2xx. Consumes the body. */
export async function problemOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  const body = asObject(text);
  const retryAfter = Number(response.headers.get('retry-after'));
  const requestId = textOf(body['requestId']) ?? response.headers.get('x-request-id') ?? undefined;
  const oauthError = textOf(body['error']);
  const errors = fieldErrors(body['errors']);
  const stepUp = stepUpOf(body['stepUp']);
  return new ApiError({
    code: textOf(body['code']) ?? `http.${response.status}`,
    status: response.status,
    title: textOf(body['detail']) ?? textOf(body['title']) ?? (response.statusText || `HTTP ${response.status}`),
    ...(requestId === undefined ? {} : { requestId }),
    ...(errors.length === 0 ? {} : { errors }),
    ...(stepUp === undefined ? {} : { stepUp }),
    ...(oauthError === undefined ? {} : { oauthError }),
    ...(Number.isFinite(retryAfter) && retryAfter > 0 ? { retryAfterSeconds: retryAfter } : {}),
  });
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function asObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function fieldErrors(value: unknown): readonly FieldError[] {
  if (!Array.isArray(value)) return [];
  return value.map((entry: unknown) => {
    if (typeof entry === 'string') return { field: '', message: entry };
    const { field, message, file, line, column } = (entry ?? {}) as Record<string, unknown>;
    return {
      field: textOf(field) ?? '',
      message: textOf(message) ?? 'is not valid',
      ...(typeof file === 'string' ? { file } : {}),
      ...(typeof line === 'number' ? { line } : {}),
      ...(typeof column === 'number' ? { column } : {}),
    };
  });
}

function stepUpOf(value: unknown): StepUp | undefined {
  const { url, maxAgeSeconds, amr, acr } = (value ?? {}) as { readonly [K in keyof StepUp]?: unknown };
  const texts = (list: unknown): readonly string[] | undefined =>
    Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : undefined;
  const [methods, levels] = [texts(amr), texts(acr)];
  if (typeof url !== 'string') return undefined;
  return {
    url,
    ...(typeof maxAgeSeconds === 'number' ? { maxAgeSeconds } : {}),
    ...(methods === undefined ? {} : { amr: methods }),
    ...(levels === undefined ? {} : { acr: levels }),
  };
}
