/** What each client of the matrix must be able to do, so that one table of tests serves them all. */
export interface ClientAnswer {
  /** Rows as the client shows them, as text cells. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** SQLSTATE of the error, where there was one. */
  readonly sqlstate: string | undefined;
  readonly message: string;
}

export interface MatrixClient {
  readonly name: string;
  /** Not undefined = why it cannot run here. */
  missing(): string | undefined;
  /** Runs statements one after another on one connection; errors become answers. */
  run(principal: string, statements: readonly string[]): Promise<readonly ClientAnswer[]>;
  /** One parameterised statement, with the client's own binding. */
  bind(principal: string, statement: string, value: number): Promise<ClientAnswer>;
}
