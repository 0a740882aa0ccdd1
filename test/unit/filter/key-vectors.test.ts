/** JSONTestSuite (https://github.com/nst/JSONTestSuite) in the place of a key set. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  answerKeys,
  callerToken,
  google,
  keyCalls,
  keySet,
  startValidator,
  validating,
  validator,
} from "../../support/caller-token.js";
import { expectNoTrap, LLM, refusal, send } from "../../support/filter.js";
import { vectors } from "../../support/vectors.js";

const folder = vectors("JSONTestSuite", "test_parsing");
const KEYS_FETCHES = "hopgate_key_fetches.hop=.=ingress;.;result=.=";

describe.skipIf(folder === undefined)("a text of JSONTestSuite in the place of a key set", () => {
  test("is none, whether it is JSON or not, and the keys before it stay", async () => {
    const jwks = { ...validator().jwks, cacheSec: 1 };
    const routes = [{ hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "google" }];
    const proxy = await startValidator(validating({ jwks }, { routes, backends: { llm: {} } }));
    answerKeys(proxy);
    const files = readdirSync(folder ?? "").sort();
    expect(files).toHaveLength(318);
    const taken: string[] = [];
    for (const file of files) {
      const before = proxy.metrics().counters[`${KEYS_FETCHES}ok;.;`];
      while (!keyCalls(proxy).some(({ vm }) => vm === "worker 0")) proxy.advance(100);
      answerKeys(proxy, readFileSync(join(folder ?? "", file)));
      if (proxy.metrics().counters[`${KEYS_FETCHES}ok;.;`] !== before) taken.push(file);
      // Every failure lengthens the pause before the next fetch, a success ends that.
      while (!keyCalls(proxy).some(({ vm }) => vm === "worker 0")) proxy.advance(100);
      answerKeys(proxy, keySet(google));
    }
    expect(taken).toEqual([]);
    expect(proxy.metrics().counters[`${KEYS_FETCHES}bad_key_set;.;`]).toBeGreaterThanOrEqual(318);
    const stream = send(proxy, LLM, [["authorization", `Bearer ${callerToken()}`]]);
    expect([stream.paused, refusal(stream)]).toEqual([false, undefined]);
    expectNoTrap(proxy);
  });
});
