import { routedBackends } from "../render/istio/backends.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";
import type { Mesh } from "../config/model.js";
import type { Check, Remark } from "./check.js";

/** A key that is shorter can be tried out. */
const SHORTEST_KEY = 16;
/** What the examples have. */
const EXAMPLE_KEY = "change-me";

/** What can be seen in the file, and is right for some: `hopgate check` says what is wrong for all. */
export const FILE_CHECKS: readonly Check<Mesh>[] = [
  {
    code: "HG0101",
    level: "warning",
    title: "only callers who know a key are told the times of hops",
    why: "Whoever calls an edge learns the names of the hops and how long each took.",
    find: ({ timing }) =>
      timing.expose !== "always"
        ? []
        : [{ about: "timing.expose", reason: "it is always", fix: "write expose: trace, and a key" }],
  },
  {
    code: "HG0102",
    level: "warning",
    title: "timing.key cannot be guessed",
    why: "Who guesses it is told the inside of the mesh.",
    find: guessableKey,
  },
  {
    code: "HG0103",
    level: "warning",
    title: "validators name the callers that they let in",
    why: "Anybody to whom the issuer gives a token for the audience may call; with Google that is every account there is.",
    find: ({ validators }) =>
      [...validators.values()]
        .filter(({ emails }) => emails.includes("*"))
        .map(({ name }) => ({
          about: `validators.${name}.emails`,
          reason: 'it is ["*"]',
          fix: "name the service accounts that call",
        })),
  },
  {
    code: "HG0104",
    level: "warning",
    title: "callers' tokens come over TLS",
    why: "Whoever is on the way can read a token, and use it until it expires.",
    find: (mesh) =>
      [...mesh.hops.values()].flatMap((hop) =>
        hop.kind === "gateway" && hop.secret === undefined && pluginConfigFor(mesh, hop.name).validators !== undefined
          ? [
              {
                about: `hops.${hop.name}`,
                reason: "it checks tokens, and takes plain HTTP (tls: false)",
                fix: "leave tls out, and give the gateway a certificate; or keep plain HTTP behind a load balancer that ends TLS",
              },
            ]
          : [],
      ),
  },
  {
    code: "HG0105",
    level: "warning",
    title: "the services of GCPBackends are in one region",
    why: "GCPBackend is documented for services of the cluster's region and project alone.",
    find: severalRegions,
  },
  {
    code: "HG0106",
    level: "warning",
    title: "a gateway that adds tokens checks who calls",
    why: "Whoever reaches the gateway calls the service with the gateway's identity.",
    find: unchecked,
  },
];

/** The routes on which a gateway adds a token, and nobody in front of it checks one. */
function unchecked(mesh: Mesh): readonly Remark[] {
  return [...mesh.hops.values()].flatMap((hop) => {
    if (hop.kind !== "gateway" || hop.validate !== undefined) return [];
    const { backends } = pluginConfigFor(mesh, hop.name);
    const injected = routedBackends(mesh).filter(({ name }) => backends[name]?.token !== undefined);
    return mesh.routes
      .filter((route) => route.validate === undefined)
      .filter(({ arms }) => injected.some(({ name }) => arms.some(({ backend }) => backend === name)))
      .map(({ hosts, open }) => ({
        about: `hops.${hop.name}, route ${hosts[0] ?? ""}`,
        reason:
          open === undefined
            ? "nothing checks its callers"
            : `nothing of hopgate checks its callers; open says: ${open}`,
        fix: "write validate: with a validator, or make sure that what open says is so",
      }));
  });
}

function guessableKey({ timing: { key, expose } }: Mesh): readonly Remark[] {
  if (expose !== "trace" || key === undefined || (key !== EXAMPLE_KEY && key.length >= SHORTEST_KEY)) return [];
  const reason =
    key === EXAMPLE_KEY ? "it is the one of the examples" : `it has less than ${String(SHORTEST_KEY)} characters`;
  return [{ about: "timing.key", reason, fix: "write the output of: openssl rand -hex 16" }];
}

function severalRegions({ backends }: Mesh): readonly Remark[] {
  const regions = new Set(
    [...backends.values()].flatMap((backend) =>
      backend.kind === "cloudRun" && backend.via === "gcpBackend" && backend.region !== undefined
        ? [backend.region]
        : [],
    ),
  );
  if (regions.size < 2) return [];
  const reason = `via: gcpBackend is written for ${[...regions].sort().join(" and ")}`;
  return [{ about: "backends", reason, fix: "write via: serviceEntry for those of other regions" }];
}
