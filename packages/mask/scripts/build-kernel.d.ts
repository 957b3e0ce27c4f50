/** @returns the text of src/generated/kernel-wasm.ts as the present source gives it */
export declare function buildKernel(): Promise<string>;
