import { isLoopback } from "../render/image.js";
import type { Check, Remark } from "./check.js";
import type { ImageSeen, RegistryAnswer } from "./seen.js";

type Found = Extract<RegistryAnswer, { kind: "found" }>;

/** The filter's image, as proxies would pull it. */
export const IMAGE_CHECKS: readonly Check<ImageSeen>[] = [
  {
    code: "HG0201",
    level: "error",
    title: "the image is named by its digest",
    why: "What a tag such as latest means can change: a proxy that starts tomorrow would run something else than one that started today.",
    find: withoutDigest,
  },
  {
    code: "HG0202",
    level: "error",
    title: "the registry is not this machine",
    why: "For a proxy, localhost is its own Pod: it finds no image there, and denies every request with 403.",
    find: ({ reference }) =>
      isLoopback(reference.registry)
        ? [
            {
              about: reference.registry,
              reason: "it is a loopback address",
              fix: "push to a registry that proxies can reach",
            },
          ]
        : [],
  },
  answered("HG0203", "unreachable", {
    title: "the registry can be reached from here",
    why: "If proxies cannot reach it either, they deny every request with 403.",
    fix: "look at the name and at the network; --plain-http is for a registry without TLS",
  }),
  answered("HG0204", "unauthorised", {
    title: "the registry lets us pull",
    why: "Without credentials that it takes, a proxy gets no module, and denies every request with 403.",
    fix: "log in with docker login, or the registry's credential helper",
  }),
  answered("HG0205", "missing", {
    title: "the image is there",
    why: "A proxy that finds no image denies every request with 403.",
    fix: "push it with hopgate push, and write the digest that it prints",
  }),
  answered("HG0206", "other", {
    title: "the registry gives the image back unchanged",
    why: "A proxy that gets no good module denies every request with 403.",
    fix: "push it again with hopgate push",
  }),
  {
    code: "HG0207",
    level: "error",
    title: "the image has one of the two shapes that Istio takes",
    why: "Istio refuses other media types, and its proxies then deny every request with 403.",
    find: whenFound(({ refusal }, { reference }) =>
      refusal === undefined
        ? []
        : [{ about: nameOf(reference), reason: refusal, fix: "push the module with hopgate push, in either --shape" }],
    ),
  },
  {
    code: "HG0208",
    level: "error",
    title: "the image holds a module that hopgate built",
    why: "What proxies run could not be told from what they should run.",
    find: whenFound(({ build, refusal }, { reference }) =>
      build !== undefined || refusal !== undefined
        ? []
        : [
            {
              about: nameOf(reference),
              reason: "it is another module, or was changed",
              fix: "push the one of hopgate build",
            },
          ],
    ),
  },
  {
    code: "HG0209",
    level: "warning",
    title: "the module is of the same version as this command",
    why: "Another version may refuse what this one renders, or do something else with it.",
    find: whenFound(({ build, ownBuild }, { reference }) =>
      build === undefined || ownBuild === undefined || build === ownBuild
        ? []
        : [
            {
              about: nameOf(reference),
              reason: `it holds build ${build}, and this command came with ${ownBuild}`,
              fix: "push the module of this version with hopgate push, or use the command of the other",
            },
          ],
    ),
  },
  {
    code: "HG0210",
    level: "warning",
    title: "proxies have the credentials that the registry wants",
    why: "A proxy pulls with imagePullSecret alone: what you are logged in with is of no use to it.",
    find: whenFound(({ usedCredentials }, { reference, pullSecret }) =>
      !usedCredentials || pullSecret !== undefined
        ? []
        : [
            {
              about: reference.registry,
              reason: "it was pulled with your credentials, and the file names no imagePullSecret",
              fix: "write imagePullSecret: with a Secret of the type kubernetes.io/dockerconfigjson that each hop's namespace has, or open the repository to everybody who may pull",
            },
          ],
    ),
  },
  {
    code: "HG0211",
    level: "warning",
    title: "the registry speaks HTTPS",
    why: "Proxies take an image over plain HTTP only from registries that their WASM_INSECURE_REGISTRIES names.",
    find: ({ reference, plainHttp, answer }: ImageSeen): readonly Remark[] => {
      if (!plainHttp && !isLoopback(reference.registry) && answer.kind === "unreachable")
        return [{ about: reference.registry, unknown: NOT_PULLED }];
      return plainHttp && !isLoopback(reference.registry)
        ? [
            {
              about: reference.registry,
              reason: "--plain-http",
              fix: "give the registry a certificate, or set WASM_INSECURE_REGISTRIES on the proxies",
            },
          ]
        : [];
    },
  },
];

type Trouble = Exclude<RegistryAnswer["kind"], "found">;

/** In the order in which a pull comes to them. */
const TROUBLES: readonly Trouble[] = ["unreachable", "unauthorised", "missing", "other"];

/** A check that fails where the registry answered so; where a pull did not come so far, it is not known. */
function answered(
  code: string,
  kind: Trouble,
  { title, why, fix }: { readonly title: string; readonly why: string; readonly fix: string },
): Check<ImageSeen> {
  return {
    code,
    level: "error",
    title,
    why,
    find: ({ answer, reference }) => {
      if (answer.kind === "found") return [];
      const about = nameOf(reference);
      if (answer.kind === kind) return [{ about, reason: answer.reason, fix }];
      return TROUBLES.indexOf(answer.kind) < TROUBLES.indexOf(kind) ? [{ about, unknown: NOT_PULLED }] : [];
    },
  };
}

const NOT_PULLED = "the image could not be pulled";

function whenFound(judge: (answer: Found, seen: ImageSeen) => readonly Remark[]): Check<ImageSeen>["find"] {
  return (seen) =>
    seen.answer.kind === "found" ? judge(seen.answer, seen) : [{ about: nameOf(seen.reference), unknown: NOT_PULLED }];
}

/** Of a digest, what tells it from others. */
function nameOf({ registry, repository, tag, digest }: ImageSeen["reference"]): string {
  const pin = digest === undefined ? "" : `@${digest.slice(0, "sha256:".length + 12)}`;
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${pin}`;
}

function withoutDigest({ reference }: ImageSeen): readonly Remark[] {
  if (reference.digest !== undefined) return [];
  const reason = reference.tag === undefined ? "no digest, so it is latest" : `no digest, only ${reference.tag}`;
  return [
    { about: nameOf(reference), reason, fix: "write REGISTRY/REPOSITORY@sha256:DIGEST, as hopgate push prints it" },
  ];
}
