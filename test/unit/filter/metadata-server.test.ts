import { describe, expect, test } from "vitest";
import type { Headers } from "../../../shim/emulator/pairs.js";
import {
  answerAll,
  expectNoTrap,
  FROM_METADATA,
  idToken,
  KB,
  KB_AUDIENCE,
  METADATA,
  NOW_SEC,
  pluginConfig,
  refusal,
  send,
  startFilter,
} from "../../support/filter.js";
import { authorizationOf } from "../../support/token.js";

describe("what the metadata server may answer", () => {
  const future = NOW_SEC + 3600;
  const html = "<html><body>captive portal</body></html>";
  const fetched = (result: string): string => `hopgate_token_fetches.hop=.=ingress;.;result=.=${result};.;`;
  /** What the log says of the answer's status, where it has one. */
  const answered = (headers: Headers): string => {
    const status = headers.find(([name]) => name === ":status")?.[1] ?? "";
    return /^\d{3}$/.test(status) ? `: status ${status}` : "";
  };
  const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const rows: [string, Headers, string, string][] = [
    [
      "a 500",
      [
        [":status", "500"],
        ["metadata-flavor", "Google"],
      ],
      idToken(),
      "bad_status",
    ],
    [
      "a 302",
      [
        [":status", "302"],
        ["metadata-flavor", "Google"],
      ],
      idToken(),
      "bad_status",
    ],
    ["no status", [["metadata-flavor", "Google"]], idToken(), "reset"],
    ["no Metadata-Flavor", [[":status", "200"]], idToken(), "not_a_metadata_server"],
    [
      "an empty Metadata-Flavor",
      [
        [":status", "200"],
        ["metadata-flavor", ""],
      ],
      idToken(),
      "not_a_metadata_server",
    ],
    [
      "another Metadata-Flavor",
      [
        [":status", "200"],
        ["metadata-flavor", "google"],
      ],
      idToken(),
      "not_a_metadata_server",
    ],
    ["a 404 of another server", [[":status", "404"]], "", "audience_refused"],
    ["HTML", FROM_METADATA, html, "bad_token"],
    ["nothing", FROM_METADATA, "", "bad_token"],
    ["an expired token", FROM_METADATA, idToken({ exp: NOW_SEC - 1 }), "bad_token"],
    ["one that expires in 4 s", FROM_METADATA, idToken({ exp: NOW_SEC + 4 }), "bad_token"],
    ["one without exp", FROM_METADATA, idToken({ exp: undefined }), "bad_token"],
    ["exp as text", FROM_METADATA, idToken({ exp: String(future) }), "bad_token"],
    ["exp with a fraction", FROM_METADATA, idToken({ exp: future + 0.5 }), "bad_token"],
    ["exp below 0", FROM_METADATA, idToken({ exp: -future }), "bad_token"],
    ["exp in 2096", FROM_METADATA, idToken({ exp: 4_000_000_001 }), "bad_token"],
    ["exp far beyond 2100", FROM_METADATA, idToken({ exp: 9e15 }), "bad_token"],
    ["exp beyond what JSON agrees on", FROM_METADATA, idToken({ exp: 1e300 }), "bad_token"],
    ["another audience", FROM_METADATA, idToken({ aud: "https://other.example" }), "bad_token"],
    ["an audience that ours is a prefix of", FROM_METADATA, idToken({ aud: `${KB_AUDIENCE}x` }), "bad_token"],
    ["an audience that is a prefix of ours", FROM_METADATA, idToken({ aud: KB_AUDIENCE.slice(0, -1) }), "bad_token"],
    ["an array of audiences", FROM_METADATA, idToken({ aud: [KB_AUDIENCE] }), "bad_token"],
    ["no audience", FROM_METADATA, idToken({ aud: undefined }), "bad_token"],
    ["two parts", FROM_METADATA, idToken().split(".").slice(0, 2).join("."), "bad_token"],
    ["four parts", FROM_METADATA, `${idToken()}.eA`, "bad_token"],
    ["two dots side by side", FROM_METADATA, idToken().replace(".", ".."), "bad_token"],
    ["no signature", FROM_METADATA, idToken().replace(/[^.]*$/, ""), "bad_token"],
    ["no header", FROM_METADATA, idToken().replace(/^[^.]*/, ""), "bad_token"],
    ["a line break within", FROM_METADATA, idToken().replace(".", ".\n"), "bad_token"],
    ["padding", FROM_METADATA, `${idToken()}=`, "bad_token"],
    ["a comma", FROM_METADATA, `${idToken()},x`, "bad_token"],
    ["bytes over 127", FROM_METADATA, `${idToken()}ü`, "bad_token"],
    ["a payload that is no object", FROM_METADATA, `eyJ9.${json([KB_AUDIENCE])}.eA`, "bad_token"],
    [
      "a payload with bits left over",
      FROM_METADATA,
      `eyJ9.${json({ aud: KB_AUDIENCE, exp: future, a: 1 })}B.eA`,
      "bad_token",
    ],
    [
      "a payload with two audiences",
      FROM_METADATA,
      `eyJ9.${Buffer.from(`{"aud":"${KB_AUDIENCE}","aud":"x","exp":${future}}`).toString("base64url")}.eA`,
      "bad_token",
    ],
    ["17 KB", FROM_METADATA, idToken({}, 12_500), "bad_token"],
    ["1 MB", FROM_METADATA, "e".repeat(1 << 20), "bad_token"],
  ];

  test.each(rows)("refuses %s", async (_name, headers, body, result) => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.respond(headers, body);
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(proxy.metrics().counters[fetched(result)]).toBe(1);
    expect(proxy.logs).toEqual([
      {
        level: "warn",
        vm: expect.any(String) as string,
        message: `hopgate: no ID token for audience ${KB_AUDIENCE}: ${result} (${METADATA}${answered(headers)})`,
      },
    ]);
    expectNoTrap(proxy);
  });

  test("refuses more than 32 MiB, which the host reports as no answer at all", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.respond(FROM_METADATA, Buffer.alloc(34 << 20, "e"));
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(proxy.metrics().counters[fetched("reset")]).toBe(1);
  });

  test("takes a token just under 16 KiB, and one with white space behind it", async () => {
    for (const token of [idToken({}, 11_900), `${idToken()} \r\n`]) {
      const proxy = await startFilter();
      proxy.advance(20);
      proxy.calls[0]?.respond(FROM_METADATA, token);
      expect(authorizationOf(proxy)).toBe(`Bearer ${token.trim()}`);
    }
  });

  test("reads escapes in the audience as what they stand for", async () => {
    const proxy = await startFilter();
    proxy.advance(20);
    const payload = `{"exp":${future},"aud":"https:\\/\\/kb\\u002dabc123-uc.a.run.app"}`;
    const token = `eyJ9.${Buffer.from(payload).toString("base64url")}.eA`;
    proxy.calls[0]?.respond(FROM_METADATA, token);
    expect(authorizationOf(proxy)).toBe(`Bearer ${token}`);
  });

  test("never logs a token", async () => {
    const proxy = await startFilter(pluginConfig(), { logLevel: "trace" });
    proxy.advance(20);
    const secret = idToken({ aud: "https://other.example" });
    proxy.calls[0]?.respond(FROM_METADATA, secret);
    proxy.advance(3000);
    answerAll(proxy);
    proxy.advance(3000);
    expect(JSON.stringify(proxy.logs)).not.toContain(secret.slice(0, 20));
    expect(JSON.stringify(proxy.metrics())).not.toContain(secret.slice(0, 20));
  });
});
