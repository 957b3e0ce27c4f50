/** Groups that no token carries, read from the provider's directory at sign-in. One file per directory. */
export interface GroupsSource {
  /**
   * All groups of a person, as the mapping will see them.
   * @throws GatewayError `auth.provider_unavailable`, `auth.groups_overage`: a sign-in never goes on with half of them
   */
  groupsOf(person: { readonly subject: string; readonly email: string | undefined }): Promise<readonly string[]>;
}
