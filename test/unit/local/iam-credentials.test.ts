import { createLocalJWKSet, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";

import { startIamCredentials, type IamCredentialsOptions } from "../../../shim/local/iam-credentials.js";
import { createKeySet } from "../../../shim/local/keys.js";
import { closedAfterEach, postJson, send, type Reply } from "./support.js";

const keys = await createKeySet();
const keep = closedAfterEach();
const ACCOUNT = "invoker@my-project.iam.gserviceaccount.com";
const CALLER = "gateway@my-project.iam.gserviceaccount.com";
const AUDIENCE = "https://kb-abc123-uc.a.run.app";

function start(options: Partial<IamCredentialsOptions> = {}) {
  const accounts = new Map([[ACCOUNT, [CALLER]]]);
  const callerOf = (token: string): string | undefined => ({ "ya29.one": CALLER, "ya29.two": "other@x" })[token];
  return keep(startIamCredentials({ keys, accounts, callerOf, ...options }));
}

function generate(
  { origin }: { origin: string },
  body: unknown = { audience: AUDIENCE, includeEmail: true },
  { account = ACCOUNT, token = "ya29.one" } = {},
): Promise<Reply> {
  const path = `/v1/projects/-/serviceAccounts/${account}:generateIdToken`;
  return postJson(origin, path, body, token === "" ? {} : { authorization: `Bearer ${token}` });
}

const statusOf = ({ body }: Reply): string => (JSON.parse(body) as { error: { status: string } }).error.status;

describe("the IAM Credentials API", () => {
  it("signs a token of the account, with its email where that is asked for", async () => {
    const api = await start();
    for (const includeEmail of [true, false]) {
      const reply = await generate(api, { audience: AUDIENCE, includeEmail });
      expect([reply.status, reply.headers["content-type"]]).toEqual([200, "application/json; charset=UTF-8"]);
      const { token } = JSON.parse(reply.body) as { token: string };
      const { payload } = await jwtVerify(token, createLocalJWKSet(keys.jwks()), {
        issuer: "https://accounts.google.com",
        audience: AUDIENCE,
      });
      expect(payload.exp).toBe((payload.iat ?? 0) + 3600);
      expect(payload["email"]).toBe(includeEmail ? ACCOUNT : undefined);
    }
    expect(api.requests).toEqual([0, 1].map(() => ({ account: ACCOUNT, caller: CALLER })));
  });

  it.each([
    ["without a token", undefined, { token: "" }, 401, "UNAUTHENTICATED"],
    ["with a token of nobody", undefined, { token: "ya29.three" }, 401, "UNAUTHENTICATED"],
    ["by whom the account does not allow", undefined, { token: "ya29.two" }, 403, "PERMISSION_DENIED"],
    ["for an account that there is not", undefined, { account: "nobody@x" }, 404, "NOT_FOUND"],
    ["without an audience", {}, {}, 400, "INVALID_ARGUMENT"],
    ["with an empty audience", { audience: "" }, {}, 400, "INVALID_ARGUMENT"],
    ["with an audience that is no text", { audience: 5 }, {}, 400, "INVALID_ARGUMENT"],
  ] as const)("refuses a request %s", async (_what, body, who, status, code) => {
    const reply = await generate(await start(), body, who);
    expect([reply.status, statusOf(reply)]).toEqual([status, code]);
    expect(reply.body).not.toContain("eyJ");
  });

  it("has no other operation, and answers as a fault says", async () => {
    const api = await start({ fault: () => ({ status: 503, body: "down" }) });
    expect((await send(api.origin, "/v1/projects/-/serviceAccounts/a@b:signJwt", { method: "POST" })).status).toBe(404);
    expect((await send(api.origin, `/v1/projects/-/serviceAccounts/${ACCOUNT}:generateIdToken`)).status).toBe(404);
    const reply = await generate(api);
    expect([reply.status, reply.body]).toEqual([503, "down"]);
  });
});
