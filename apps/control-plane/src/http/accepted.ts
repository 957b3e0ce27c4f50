/** Thrown where a request is taken and not done yet: the answer is 202 with this body. The problem filter sends it. */
export class Accepted extends Error {
  readonly body: object;
  constructor(body: object) {
    super('accepted');
    this.body = body;
  }
}
