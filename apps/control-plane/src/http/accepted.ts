/** Thrown where a write was taken as a proposal and is not done: the answer is 202 with this body. The problem filter sends it. */
/** Names the proposal; other routes answer 202 too. */
export const PROPOSAL_HEADER = 'sallyport-change-proposal';

export class Accepted extends Error {
  readonly body: { readonly id: string };
  constructor(body: { readonly id: string }) {
    super('accepted');
    this.body = body;
  }
}
