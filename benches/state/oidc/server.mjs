// The provider as its documentation starts it: in memory, with its own pages for login and consent.
const [folder, port] = process.argv.slice(2);
const found = await import(`${folder}/node_modules/oidc-provider/lib/index.js`);
const Provider = found.Provider ?? found.default?.Provider ?? found.default;
const provider = new Provider(`http://op.example.test`, {
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    userinfo: { enabled: true },
  },
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  scopes: ["openid", "offline_access", "email"],
  cookies: { keys: ["one key for all", "another"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.test`, email_verified: true }) }),
  ttl: { AccessToken: 3600, Interaction: 3600, Session: 3600, Grant: 3600, IdToken: 3600, RefreshToken: 86400, DeviceCode: 600 },
});
provider.listen(Number(port), "127.0.0.1");
