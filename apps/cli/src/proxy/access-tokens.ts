/**
 * A fresh access token whenever a connection is opened: kept while it has life left, asked for once however many wait.
 * Refuses to write a token anywhere.
 */
import type { TokenAnswer } from '@sallyport/api-client';

export interface AccessTokens {
  get(): Promise<string>;
}

/** @param ask exchanges for a new token; its life is in seconds */
export function accessTokens(ask: () => Promise<TokenAnswer>, nowMs: () => number): AccessTokens {
  let kept: { readonly token: string; readonly until: number } | undefined;
  let asking: Promise<string> | undefined;
  const renew = async (): Promise<string> => {
    const answer = await ask();
    // Half its life is left for the sign-in itself and for clocks that differ.
    kept = { token: answer.access_token, until: nowMs() + ((answer.expires_in ?? 0) * 1000) / 2 };
    return answer.access_token;
  };
  return {
    get: () => {
      if (kept !== undefined && nowMs() < kept.until) return Promise.resolve(kept.token);
      asking ??= renew().finally(() => {
        asking = undefined;
      });
      return asking;
    },
  };
}
