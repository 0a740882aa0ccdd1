/** Every configuration that the shim renders: exactly one hop injects, and no edge lends its identity to whoever comes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../shim/config/config-error.js";
import type { Mesh } from "../../../shim/config/model.js";
import { parseMesh } from "../../../shim/config/parse.js";
import { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import { supplyTokens } from "../../../shim/explain/tokens.js";
import { inboundVipCluster, outboundCluster, serviceOf } from "../../../shim/render/envoy/names.js";
import { platformServices } from "../../../shim/render/envoy/platform.js";
import { pluginConfigFor } from "../../../shim/render/plugin-config-for.js";
import type { PluginConfig, PluginRoute } from "../../../shim/render/plugin-config.js";
import { hopgate, requestTo } from "../../support/filter.js";

const VALIDATORS = { v0: { audiences: ["https://mesh.example"], emails: ["a@p.iam.gserviceaccount.com"] } };
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });

const hop = (kind: (name: string) => object): fc.Arbitrary<(name: string) => object> =>
  fc
    .record({ edge: fc.boolean(), validate: maybe(fc.constant("v0")), unmatched: fc.constantFrom("pass", "reject") })
    .map((fields) => (name) => ({ ...kind(name), ...fields }));

const gateway = hop((name) => ({ gateway: { namespace: "istio-ingress", selector: { istio: name } } }));
const waypoint = hop((name) => ({ waypoint: { namespace: "agents", name } }));

const backend = fc.record({
  isCloudRun: fc.boolean(),
  via: fc.constantFrom("gcpBackend", "serviceEntry", "loadBalancer"),
  audience: maybe(fc.constantFrom("https://shared.example", "https://other.example")),
  through: maybe(fc.nat(1)),
});

const route = fc.record({
  arms: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 2 }),
  check: fc.constantFrom("open", "validate", "neither"),
  sticky: maybe(fc.constant("x-session-id")),
});

const identity = fc.constantFrom(
  {},
  { mode: "off" },
  { mode: "impersonate", serviceAccount: "invoker@p.iam.gserviceaccount.com" },
);

/** A hopgate.yaml, as JSON; the names in it are right, what they are put to need not be. */
const meshText = fc
  .record({
    gateways: fc.array(gateway, { minLength: 1, maxLength: 2 }),
    waypoints: fc.array(waypoint, { maxLength: 2 }),
    backends: fc.array(backend, { minLength: 4, maxLength: 4 }),
    routes: fc.array(route, { minLength: 1, maxLength: 4 }),
    identity,
  })
  .map(({ gateways, waypoints, backends, routes, identity }) => {
    const hops = [
      ...gateways.map((make, i) => [`g${i}`, make(`g${i}`)]),
      ...waypoints.map((make, i) => [`w${i}`, make(`w${i}`)]),
    ];
    const through = (i: number | undefined): object =>
      i === undefined || waypoints.length === 0 ? {} : { through: `w${i % waypoints.length}` };
    const file = {
      name: "generated",
      validators: VALIDATORS,
      identity,
      hops: Object.fromEntries(hops) as object,
      backends: Object.fromEntries(
        backends.map(({ isCloudRun, via, audience, through: i }, n) => {
          const balanced = via === "loadBalancer" ? { host: `lb${n}.example`, audience: "https://lb.example" } : {};
          const cloudRun = {
            url: `https://s${n}-abc123-uc.a.run.app`,
            via,
            ...(audience && { audience }),
            ...balanced,
          };
          const kubernetes = { service: `s${n}`, namespace: "n", port: 80 };
          return [`b${n}`, { ...(isCloudRun ? { cloudRun } : { kubernetes }), ...through(i) }];
        }),
      ),
      routes: routes.map(({ arms, check, sticky }, n) => ({
        hosts: [`h${n}.example`],
        ...(arms.length === 1 ? { to: `b${arms[0]}` } : { split: { [`b${arms[0]}`]: 30, [`b${arms[1]}`]: 70 } }),
        ...(sticky && { sticky }),
        ...(check === "open" && { open: "a test" }),
        ...(check === "validate" && { validate: "v0" }),
      })),
    };
    return JSON.stringify(file);
  });

function parsed(text: string): Mesh | undefined {
  try {
    return parseMesh(text, "generated.yaml");
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

async function proxyFor(mesh: Mesh, config: PluginConfig, properties: Record<string, string> = {}): Promise<Emulator> {
  const clusters = Object.fromEntries(
    platformServices(mesh).map((service) => [outboundCluster(service), "ok" as const]),
  );
  const proxy = await Emulator.start({ module: hopgate, clusters, properties });
  expect(proxy.configure({ config: JSON.stringify(config) })).toEqual({ accepted: true });
  return proxy;
}

const injects = (config: PluginConfig, { to }: PluginRoute): boolean =>
  to.some(({ backend: name }) => config.backends[name]?.token !== undefined);

/** Runs `check` on so many files that the shim takes; files that it refuses do not count. */
async function forMeshes(count: number, check: (mesh: Mesh) => Promise<void>): Promise<void> {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(meshText, async (text) => {
      const mesh = parsed(text);
      fc.pre(mesh !== undefined);
      taken += 1;
      await check(mesh);
    }),
    { numRuns: count, maxSkipsPerRun: 50 },
  );
  expect(taken).toBeGreaterThanOrEqual(count);
}

describe("of every hopgate.yaml that the shim takes", { timeout: 120_000 }, () => {
  test("the filter takes each hop's configuration, and no edge injects for callers whom nobody checks", async () => {
    await forMeshes(60, async (mesh) => {
      for (const name of mesh.hops.keys()) {
        const config = pluginConfigFor(mesh, name);
        await proxyFor(mesh, config);
        for (const rendered of config.routes) {
          if (config.edge !== true || !injects(config, rendered)) continue;
          expect(rendered.validate ?? rendered.open ?? config.validate).toBeDefined();
        }
        // Without the checks that it has, an edge that injects is refused.
        const bare = {
          ...config,
          routes: config.routes.map(({ hosts, to, sticky }) => ({
            hosts,
            to,
            ...(sticky !== undefined && { sticky }),
          })),
        };
        delete bare.validate;
        const isLending = bare.edge === true && bare.routes.some((rendered) => injects(bare, rendered));
        const proxy = await Emulator.start({ module: hopgate });
        expect(proxy.configure({ config: JSON.stringify(bare) })).toEqual({ accepted: !isLending });
      }
    });
  });

  test("exactly one hop of each path adds the token, the one of the audience, and none with mode off", async () => {
    await forMeshes(40, async (mesh) => {
      const gateways = [...mesh.hops.values()].filter(({ kind }) => kind === "gateway");
      for (const gatewayHop of gateways) {
        // Whoever is to be checked would be refused: here it is counted who adds tokens, not who lets callers in.
        const config = withoutChecks(pluginConfigFor(mesh, gatewayHop.name));
        const proxy = await proxyFor(mesh, config);
        supplyTokensOf(proxy, mesh, config);
        for (const { hosts } of config.routes) await followPath(mesh, proxy, hosts[0] ?? "");
      }
    });
  });
});

function withoutChecks(config: PluginConfig): PluginConfig {
  const { validate: _ofHop, validators: _all, ...rest } = config;
  return { ...rest, routes: config.routes.map(({ validate: _ofRoute, ...fields }) => ({ ...fields, open: "a test" })) };
}

function supplyTokensOf(proxy: Emulator, mesh: Mesh, config: PluginConfig): void {
  if (mesh.identity.mode !== "off") supplyTokens(proxy, config);
}

/** Sends a request through the gateway, and through the waypoint of the backend that the filter chose, if it has one. */
async function followPath(mesh: Mesh, gatewayProxy: Emulator, host: string): Promise<void> {
  const first = gatewayProxy.stream({ headers: requestTo(host) });
  const chosen = mesh.backends.get(first.requestHeader("x-hopgate-backend") ?? "");
  if (chosen === undefined) throw new Error(`no backend for ${host}`);
  const added: string[][] = [tokensIn(first.requestHeaders ?? [])];
  if (chosen.through !== undefined) {
    const config = withoutChecks(pluginConfigFor(mesh, chosen.through));
    const chain = inboundVipCluster(serviceOf(chosen));
    const proxy = await proxyFor(mesh, config, { "xds.filter_chain_name": chain });
    supplyTokensOf(proxy, mesh, config);
    const second = proxy.stream({ headers: first.requestHeaders ?? [] });
    expect(second.requestHeader("x-hopgate-backend")).toBe(chosen.name);
    added.push(tokensIn(second.requestHeaders ?? []));
  }
  const isInjected = chosen.kind === "cloudRun" && mesh.identity.mode !== "off";
  expect(added.at(-1)).toEqual(isInjected ? [chosen.audience] : []);
  // Behind a waypoint, the gateway has added none.
  if (chosen.through !== undefined) expect(added[0]).toEqual([]);
}

/** The audiences of all tokens that a request carries. */
function tokensIn(headers: Headers): string[] {
  return headers.flatMap(([name, value]) => {
    if (name !== "authorization" && name !== "x-serverless-authorization") return [];
    const payload = value.split(".")[1] ?? "";
    return [(JSON.parse(Buffer.from(payload, "base64url").toString()) as { aud: string }).aud];
  });
}
