import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { base64url, google, iap, keySet, rsaKey, validating, validator } from "../support/caller-token.js";
import { KB, LLM } from "../support/filter.js";
import { eventually } from "../support/local-mesh.js";
import type { RawResponse } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { startCheapService } from "../support/load.js";
import {
  type Answer,
  ask,
  liveClaims,
  liveToken,
  type Question,
  startValidating,
  type ValidatingHop,
} from "./validating.js";

const envoyPath = (await realEnvoy()) ?? "";

const CANARY = "canary-7f3a9c";
const stranger = rsaKey(google.id);
const nowSec = Math.floor(Date.now() / 1000);

/** Tokens of callers, good and bad in every way; all say the same of themselves, which nobody may find again. */
const claims = (more: Record<string, unknown> = {}): Record<string, unknown> =>
  liveClaims({ email: `${CANARY}@example.com`, sub: CANARY, ...more });
const tokens = [
  liveToken({ claims: claims() }),
  liveToken({ claims: claims({ email_verified: false }) }),
  liveToken({ claims: claims({ aud: `https://${CANARY}.example` }) }),
  liveToken({ claims: claims({ iss: `https://${CANARY}.example` }) }),
  liveToken({ claims: claims({ iat: nowSec - 3600, exp: nowSec - 61 }) }),
  liveToken({ claims: claims({ nbf: nowSec + 600 }) }),
  liveToken({ claims: claims({ exp: nowSec + 90_000 }) }),
  liveToken({ claims: `{"email":"${CANARY}"` }),
  liveToken({ claims: claims(), key: stranger }),
  liveToken({ claims: claims(), header: { kid: CANARY } }),
  liveToken({ claims: claims(), header: { alg: CANARY } }),
  liveToken({ claims: claims(), header: { crit: [CANARY] } }),
  `${liveToken({ claims: claims() })}.${base64url(CANARY)}`,
  `${liveToken({ claims: claims() }).split(".").slice(0, 2).join(".")}.SIGNATURE_REMOVED_BY_GOOGLE`,
];

/** What must not be found: what the tokens say, and each part of them that says or proves something. */
const canaries = [
  ...new Set([CANARY, base64url(CANARY), ...tokens.flatMap((token) => token.split(".").slice(1))]),
].filter((part) => part !== "SIGNATURE_REMOVED_BY_GOOGLE");

function foundIn(text: string): string[] {
  expect(text).not.toBe("");
  return canaries.filter((canary) => text.includes(canary));
}

describe.skipIf(envoyPath === "").each(["info", "trace"])(
  "a caller's token, with Envoy's log at level %s",
  (logLevel) => {
    const replies: RawResponse[] = [];
    let hop: ValidatingHop;
    let service: { close(): Promise<void>; readonly port: number };

    const send = async (question: Question): Promise<Answer> => {
      const answer = await ask(hop, question);
      replies.push(answer);
      return answer;
    };

    beforeAll(async () => {
      service = await startCheapService(() => "served");
      const header = "x-goog-iap-jwt-assertion";
      const config = validating(
        { emails: ["*"] },
        {
          routes: [
            { hosts: [KB], to: [{ backend: "kb", weight: 100 }], validate: "google" },
            { hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "iap" },
          ],
          validators: {
            google: validator({ emails: ["*"] }),
            iap: validator({ emails: ["*"], algorithm: "ES256", header }),
          },
          timing: { expose: "always" },
        },
      );
      hop = await startValidating({
        envoyPath,
        config,
        keySet: keySet(google, iap),
        services: { kb: service, llm: service },
        logLevel,
        componentLogLevel: "wasm:trace",
      });
      await eventually(async () => ((await ask(hop, { token: tokens[0] ?? "" })).status === 200 ? true : undefined));
      const said = new Set<string>();
      for (const token of tokens) {
        said.add((await send({ token })).code ?? "ok");
        await send({ token });
        await send({ lines: [`X-Serverless-Authorization: Bearer ${token}`] });
        await send({ host: LLM, lines: [`${header}: ${token}`] });
      }
      await send({ host: LLM, lines: [`${header}: ${liveToken({ key: iap, claims: claims() })}`] });
      expect(said.size).toBeGreaterThanOrEqual(11);
      // And where keys are missing, and the configuration changes under way.
      hop.keys.answer = { status: 500 };
      await hop.update({ ...config, unmatched: "reject" });
      await eventually(async () =>
        (await ask(hop, { host: "nobody.example" })).code === "route_unmatched" ? true : undefined,
      );
      for (const token of tokens) await send({ token });
    });

    afterAll(() => Promise.all([hop.close(), service.close()]));

    it("is in no entry of the filter's in the log, and nowhere else that logs no headers", async () => {
      const log = await readFile(hop.envoy.logPath, "utf8");
      // One entry may have many lines; it begins with time, process, level and component.
      const entries = log.split(/^(?=\[\d{4}-)/m);
      const leaking = new Set(
        entries.filter((entry) => canaries.some((canary) => entry.includes(canary))).map(componentOf),
      );
      expect(leaking.has("wasm")).toBe(false);
      if (logLevel === "info") expect([...leaking]).toEqual([]);
      else expect(leaking.size, "Envoy itself logs all headers at this level").toBeGreaterThan(0);
      expect(entries.map(componentOf)).toContain("wasm");
    });

    it("is in no metric, configuration or reply, and not in the access log", async () => {
      const { admin } = hop.envoy;
      for (const path of [
        "/stats",
        "/stats/prometheus",
        "/config_dump?include_eds",
        "/clusters",
        "/listeners",
        "/server_info",
      ])
        expect(foundIn(await admin.get(path)), path).toEqual([]);
      expect(replies.length).toBeGreaterThan(60);
      for (const { headers, body } of replies)
        expect(foundIn(`${JSON.stringify(headers)}${body.toString()}`)).toEqual([]);
      await hop.envoy.stop(); // Envoy writes its access log out at the latest now
      expect(foundIn(await readFile(join(hop.dir, "access.log"), "utf8"))).toEqual([]);
    });
  },
);

function componentOf(entry: string): string {
  return /^\[[^\]]+\]\[\d+\]\[\w+\]\[(\w+)\]/.exec(entry)?.[1] ?? "";
}
