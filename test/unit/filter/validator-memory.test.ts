/** What a validator keeps is bounded, however many tokens, keys and hosts callers come with. */
import { expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import { answerKeys, base64url, googleClaims, startValidator, validating } from "../../support/caller-token.js";
import { answerAll, answered, expectNoTrap, KB, NOW_SEC, refusal, send } from "../../support/filter.js";

const long = process.env["HOPGATE_LONG"] !== undefined;
const COUNT = long ? 1_000_000 : 5_000;
if (!long)
  process.stderr.write("5,000 tokens, keys and hosts instead of a million each; HOPGATE_LONG=1 runs them all\n");

/** Entries of a validator's table of verified tokens. */
const CAPACITY = 512;

/** A proxy that takes every signature, once it has shown that it can tell good ones from forged. */
async function ready(): Promise<Emulator> {
  const proxy = await startValidator(validating({ emails: ["*"], maxLifetimeSec: 86_400 }, { unmatched: "reject" }));
  answerKeys(proxy);
  answerAll(proxy);
  proxy.advance(20);
  proxy.signatures = "accept";
  return proxy;
}

const header = (kid: string): string => base64url(JSON.stringify({ alg: "RS256", kid }));
const known = header("google-1");

/** Tokens of all lengths from 1 to 4 KiB, each another. */
function token(i: number, head = known): string {
  const claims = {
    ...googleClaims({ exp: NOW_SEC + 80_000, iat: NOW_SEC }),
    i,
    padding: "x".repeat((i * 7919) % 2000),
  };
  const end = Buffer.alloc(32);
  for (let at = 0; at < 32; at += 4) end.writeUInt32LE(Math.imul(i + 1, 0x9e3779b1 + at * 0x85ebca6b) >>> 0, at);
  return `${head}.${base64url(JSON.stringify(claims))}.${end.toString("base64url")}`;
}

function call(proxy: Emulator, bearer: string): string {
  const stream = send(proxy, KB, [["authorization", `Bearer ${bearer}`]]);
  const code = refusal(stream);
  if (code === undefined) answered(stream);
  return code ?? "ok";
}

/** As expect does, at a cost that a million calls can bear. */
function expectCode(code: string | undefined, expected: string): void {
  if (code !== expected) expect(code).toBe(expected);
}

const checks = (proxy: Emulator): number => proxy.vm(0).hostCalls["env.proxy_call_foreign_function"] ?? 0;

/** Does something `COUNT` times, a second passing now and then; gives the pages after each tenth. */
function pagesByTenth(proxy: Emulator, once: (i: number) => void): number[] {
  const pages: number[] = [];
  for (let i = 0; i < COUNT; i++) {
    once(i);
    if (i % (COUNT / 200) === 0) {
      proxy.advance(1000);
      answerKeys(proxy);
      answerAll(proxy);
    }
    if ((i + 1) % (COUNT / 10) === 0) pages.push(proxy.vm(0).memoryPages());
  }
  return pages;
}

function expectFlat(pages: number[]): void {
  process.stderr.write(`pages of 64 KiB by tenth: ${pages.join(" ")}\n`);
  expect(new Set(pages.slice(5)).size, `pages by tenth: ${pages.join()}`).toBe(1);
}

test(`${COUNT} distinct tokens: the table keeps the last of them, and memory stays`, { timeout: 900_000 }, async () => {
  const proxy = await ready();
  const before = checks(proxy);
  expectFlat(pagesByTenth(proxy, (i) => expectCode(call(proxy, token(i)), "ok")));
  expect(checks(proxy) - before).toBe(COUNT);
  // From the newest to the oldest: what is still known needs no check.
  let hits = 0;
  for (let i = COUNT - 1; i >= COUNT - 2_000; i--) {
    const checked = checks(proxy);
    expectCode(call(proxy, token(i)), "ok");
    if (checks(proxy) === checked) hits++;
    else if (i >= COUNT - 4) expect.fail("the newest are known");
  }
  expect(hits).toBeLessThanOrEqual(CAPACITY);
  expect(hits).toBeGreaterThan(CAPACITY / 2);
  expectNoTrap(proxy);
});

test(`${COUNT} made-up keys: memory stays, and known tokens stay known`, { timeout: 900_000 }, async () => {
  const proxy = await ready();
  const mine = token(0);
  expect(call(proxy, mine)).toBe("ok");
  const before = checks(proxy);
  expectFlat(
    pagesByTenth(proxy, (i) => {
      const stream = send(proxy, KB, [["authorization", `Bearer ${token(i, header(`k${i}`))}`]]);
      if (stream.paused && stream.localReply === undefined) {
        proxy.advance(20);
        answerKeys(proxy);
      }
      expectCode(refusal(stream), "token_key_unknown");
    }),
  );
  expect(call(proxy, mine)).toBe("ok");
  expect(checks(proxy)).toBe(before);
  expectNoTrap(proxy);
});

test(`${COUNT} distinct hosts: memory stays`, { timeout: 900_000 }, async () => {
  const proxy = await ready();
  expectFlat(pagesByTenth(proxy, (i) => expectCode(refusal(send(proxy, `h${i}.example`)), "route_unmatched")));
  expectNoTrap(proxy);
});
