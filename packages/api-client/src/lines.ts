/** Newline-delimited JSON out of a streamed answer, one value at a time. Refuses lines beyond a limit. */
const LINE_CHARACTERS_MAX = 64 * 1024 * 1024;

/** @throws Error when a line is no JSON, or longer than 64 Mi characters */
export async function* jsonLines<T>(response: Response): AsyncGenerator<T> {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > LINE_CHARACTERS_MAX) throw new Error('a line of the stream is too long');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as T;
  }
  rest += decoder.decode();
  if (rest.trim() !== '') yield JSON.parse(rest) as T;
}
