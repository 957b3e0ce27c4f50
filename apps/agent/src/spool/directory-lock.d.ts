export interface DirectoryLock {
  release(): void;
}
/** The lock, or undefined while a living process holds it. */
export declare function lockDirectory(dir: string): DirectoryLock | undefined;
