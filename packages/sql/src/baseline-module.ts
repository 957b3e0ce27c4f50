/**
 * How the grammar's WebAssembly is compiled: by V8's baseline compiler alone, at once, and with a memory that starts small.
 * Refuses to touch what others compile: V8's settings are changed for one synchronous call.
 * Node 24 with libpg-query 18.1.5; both reasons are to be measured again when one of them changes.
 */
import v8 from 'node:v8';

interface WasmRuntime {
  Module: new (bytes: Uint8Array) => object;
  instantiate: unknown;
}
type Instantiate = (module: object, imports: object) => Promise<object>;

const runtime = (globalThis as unknown as { readonly WebAssembly: WasmRuntime }).WebAssembly;

/**
 * The optimizing compiler takes 550 MB for the one great function of the grammar, seconds after its first use, and leaves
 * 30 MB behind; texts are then read 5 % sooner. Functions compiled later would be given to it again, so none is left for later.
 */
const SETTINGS = ['wasm-dynamic-tiering', 'wasm-tier-up', 'wasm-lazy-compilation'];

/** Stack and data take 34.5 MB, trees of texts that are read in place fit into the rest, and more is asked for when needed. */
const FIRST_PAGES = 640;

/** Runs `load`, in which libpg-query gives its bytes to `WebAssembly.instantiate`. */
export async function withBaselineCompiler<T>(load: () => Promise<T>): Promise<T> {
  const instantiate = runtime.instantiate as Instantiate;
  runtime.instantiate = async (bytes: Uint8Array, imports: object) => {
    const module = compile(withFirstPages(bytes));
    return { module, instance: await instantiate.call(runtime, module, imports) };
  };
  try {
    return await load();
  } finally {
    runtime.instantiate = instantiate;
  }
}

function compile(bytes: Uint8Array): object {
  for (const name of SETTINGS) v8.setFlagsFromString(`--no-${name}`);
  try {
    return new runtime.Module(bytes);
  } finally {
    for (const name of SETTINGS) v8.setFlagsFromString(`--${name}`);
  }
}

const HEADER_BYTES = 8;
const MEMORY_SECTION = 5;

/**
 * V8 counts a module's memory, used or not, among what lives when it plans its next collection: 128 MiB there let as much
 * garbage gather elsewhere. A module of another form stays as it is. WebAssembly 1.0, Binary Format: Memory Section.
 * @returns the same bytes, changed in place
 */
export function withFirstPages(bytes: Uint8Array, pages = FIRST_PAGES): Uint8Array {
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const section = bytes[at]!;
    const size = number(bytes, at + 1);
    const from = at + 1 + size.length;
    if (section === MEMORY_SECTION) {
      // One memory, its limits with or without a maximum, and then the least number of pages.
      const least = number(bytes, from + 2);
      const known = bytes[from] === 1 && bytes[from + 1]! <= 1 && least.value >= pages;
      if (known) writeNumber(bytes, from + 2, least.length, pages);
      return bytes;
    }
    at = from + size.value;
  }
  return bytes;
}

/** LEB128, unsigned. */
function number(bytes: Uint8Array, at: number): { readonly value: number; readonly length: number } {
  let value = 0;
  for (let length = 1; ; length++) {
    const byte = bytes[at + length - 1] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (length - 1));
    if (byte < 0x80) return { value, length };
  }
}

/** In as many bytes as it had: the format allows leading zeros. */
function writeNumber(bytes: Uint8Array, at: number, length: number, value: number): void {
  for (let i = 0; i < length; i++)
    bytes[at + i] = (Math.floor(value / 2 ** (7 * i)) & 0x7f) | (i < length - 1 ? 0x80 : 0);
}
