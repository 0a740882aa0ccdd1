import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { audienceOf } from "../support/echo.js";
import { sendLoad, startCheapService } from "../support/load.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const REQUESTS = 10_000;
/** Chi-square with one degree of freedom, exceeded by chance once in a million. */
const CHI_SQUARE_LIMIT = 23.93;

const ARMS = { blue: "https://blue-abc123-uc.a.run.app", green: "https://green-abc123-uc.a.run.app" } as const;
type Arm = keyof typeof ARMS;

const services: Partial<Record<Arm, LocalServer>> = {};
let hop: Standalone | undefined;

describe.skipIf(envoyPath === "")("a split over two audiences", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    for (const arm of ["blue", "green"] as const) services[arm] = await startCheapService((head) => verdict(arm, head));
  });

  afterEach(async () => {
    await hop?.close();
    hop = undefined;
  });

  afterAll(() => Promise.all(Object.values(services).map((service) => service.close())));

  it.each([1, 2, 8])(
    "gives every request of 10,000 the token of its arm, and each arm its half (%i workers)",
    async (concurrency) => {
      hop = await start(concurrency);
      const answers = await send(hop, REQUESTS, () => "Host: even.example.internal");
      expect([...new Set(answers)].sort()).toEqual(["blue", "green"]);
      expect(chiSquare(answers, 0.5)).toBeLessThan(CHI_SQUARE_LIMIT);
      expect(hop.metadata.requests.map(({ audience }) => audience).sort()).toEqual(Object.values(ARMS));
    },
  );

  it("keeps to uneven weights, and sends nothing to an arm of weight 0", async () => {
    hop = await start(2);
    const tenth = await send(hop, REQUESTS, () => "Host: tenth.example.internal");
    expect(chiSquare(tenth, 0.1)).toBeLessThan(CHI_SQUARE_LIMIT);
    const none = await send(hop, 1000, () => "Host: none.example.internal");
    expect(new Set(none)).toEqual(new Set(["green"]));
  });

  it.each([1, 2, 8])(
    "keeps each session on its arm, whichever worker and connection (%i workers)",
    async (concurrency) => {
      hop = await start(concurrency);
      const sessions = 1000;
      const lines = (index: number): string =>
        `Host: sticky.example.internal\r\nX-Session-Id: session-${index % sessions}`;
      const answers = await send(hop, 5 * sessions, lines);
      for (let session = 0; session < sessions; session++) {
        const arms = answers.filter((_, index) => index % sessions === session);
        expect(new Set(arms).size, `session ${session}: ${arms.join(" ")}`).toBe(1);
      }
      expect(chiSquare(answers.slice(0, sessions), 0.5)).toBeLessThan(CHI_SQUARE_LIMIT);
    },
  );

  it("draws for each route anew: a session's arm on one says nothing of another", async () => {
    hop = await start(2);
    const on = (host: string): Promise<Arm[]> =>
      send(hop, 2000, (index) => `Host: ${host}.example.internal\r\nX-Session-Id: session-${index}`);
    const [first, second] = [await on("sticky"), await on("sticky-too")];
    const same = first.map((arm, index): Arm => (arm === second[index] ? "blue" : "green"));
    expect(chiSquare(same, 0.5)).toBeLessThan(CHI_SQUARE_LIMIT);
  });
});

function start(concurrency: number): Promise<Standalone> {
  const split = (host: string, blue: number, sticky?: string) => ({
    hosts: [`${host}.example.internal`],
    to: [
      { backend: "blue", weight: blue },
      { backend: "green", weight: 100 - blue },
    ],
    ...(sticky !== undefined && { sticky }),
    open: "a test",
  });
  return startStandalone({
    envoyPath,
    concurrency,
    config: {
      hop: "ingress",
      edge: true,
      routes: [
        split("even", 50),
        split("tenth", 10),
        split("none", 0),
        split("sticky", 50, "x-session-id"),
        split("sticky-too", 50, "x-session-id"),
      ],
      backends: { blue: { token: { audience: ARMS.blue } }, green: { token: { audience: ARMS.green } } },
      identity: {},
    },
    services: services,
  });
}

/** What the service of an arm says of a request: its own name, or what is wrong with the token. */
function verdict(arm: Arm, head: string): string {
  const tokens = [...head.matchAll(/^(?:authorization|x-serverless-authorization): (.*)$/gim)].map(
    ([, value]) => value,
  );
  const audiences = tokens.map((token) => audienceOf(token));
  return audiences.length === 1 && audiences[0] === ARMS[arm]
    ? arm
    : `${arm} got tokens for ${audiences.join(" and ")}`;
}

/** The arm of each request. Any answer but 200 from an arm with its own token fails here. */
async function send(hop: Standalone | undefined, count: number, head: (index: number) => string): Promise<Arm[]> {
  const answers: string[] = [];
  await sendLoad({
    port: hop?.port ?? 0,
    connections: 32,
    count,
    head,
    onAnswer: (index, head, body) => (answers[index] = head.startsWith("HTTP/1.1 200") ? body : head),
  });
  expect(answers.filter((answer) => answer !== "blue" && answer !== "green")).toEqual([]);
  expect(answers).toHaveLength(count);
  return answers as Arm[];
}

function chiSquare(arms: readonly Arm[], blueShare: number): number {
  const blue = arms.filter((arm) => arm === "blue").length;
  const expected = arms.length * blueShare;
  return (blue - expected) ** 2 / expected + (blue - expected) ** 2 / (arms.length - expected);
}
