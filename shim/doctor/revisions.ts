import { currentRevision, newestFirst, reasonLine } from "../plan/revision.js";
import { isChange } from "../plan/comparison.js";
import { revisionNamespace, revisionNamespaceOf } from "../render/istio/revision-names.js";
import { titleOf } from "../render/istio/resource.js";
import { type Check, whenRead } from "./check.js";
import { forLivePlugins } from "./plugin-view.js";
import type { ClusterSeen } from "./seen.js";

/** What `hopgate deploy` left in the cluster. */
export const REVISION_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0415",
    level: "error",
    title: "no deployment was left half done",
    why: "Some of it is in place, and some is not.",
    after: true,
    find: ({ revisions }) =>
      whenRead("revisions", revisions, (known) => {
        const [newest] = newestFirst(known);
        if (newest?.state !== "pending") return [];
        return [
          {
            about: `revision ${String(newest.number)}`,
            reason: `it was begun at ${newest.startedAt}, and has not ended`,
            fix: "if nobody is deploying now, run hopgate deploy or hopgate rollback: both go on from there",
          },
        ];
      }),
  },
  {
    code: "HG0416",
    level: "warning",
    title: "the last deployment was not undone",
    why: "What the file said then is not what runs.",
    after: true,
    find: ({ revisions }) =>
      whenRead("revisions", revisions, (known) => {
        const [newest] = newestFirst(known);
        if (newest?.state !== "failed") return [];
        const current = currentRevision(known);
        const back = current === undefined ? "nothing" : `revision ${String(current.number)}`;
        return [
          {
            about: `revision ${String(newest.number)}`,
            reason: `it failed, and ${back} is in place: ${reasonLine(newest)}`,
            fix: "mend what it failed on, and run hopgate deploy again",
          },
        ];
      }),
  },
  {
    code: "HG0417",
    level: "warning",
    title: "the cluster has what was deployed",
    why: "Somebody changed or removed it since.",
    after: true,
    find: ({ drift }) =>
      whenRead("resources", drift, (changes) =>
        changes.filter(isChange).map(({ resource, live }) => ({
          about: titleOf(resource),
          reason: live === undefined ? "it is gone" : "it is not as it was deployed",
          fix: "hopgate diff shows how; hopgate deploy brings it back, or says whose it is",
        })),
      ),
  },
  {
    code: "HG0418",
    level: "error",
    title: "the revisions are looked for where they are",
    why: "Without them nothing is known of what is there: what the file no longer has would stay, and nothing could be rolled back.",
    find: (seen) =>
      forLivePlugins(seen, (rendered, found) => {
        const [where, looked] = [revisionNamespaceOf(found), revisionNamespace(seen.mesh)];
        if (where === undefined || where === looked) return [];
        const reason = `its revisions are in ${where}, and the file looks for them in ${looked}`;
        return [{ about: titleOf(rendered), reason, fix: `write revisionNamespace: ${where}` }];
      }),
  },
];
