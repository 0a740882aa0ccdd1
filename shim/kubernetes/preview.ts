import type { Mesh } from "../config/model.js";
import { UsageError } from "../errors.js";
import type { Change } from "../plan/comparison.js";
import { inventory } from "../plan/inventory.js";
import { marked } from "../plan/mark.js";
import { newestFirst, type Revision } from "../plan/revision.js";
import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { ApiError, each, type Objects } from "./objects.js";
import type { Revisions } from "./revisions.js";

/** What hopgate has in a cluster: what it made, and what was there before and has something of it. */
export interface Belongings {
  readonly made: readonly Resource[];
  readonly adopted: readonly Resource[];
}

/** What bringing something into a cluster, or removing it, would do there. Changes nothing. */
export class Preview {
  constructor(
    private readonly mesh: Mesh,
    private readonly objects: Objects,
    private readonly revisions: Revisions,
  ) {}

  /**
   * What applying the target would do, asked of the API server and the webhooks behind it. Changes nothing.
   * @throws ApiError if any of it would be refused
   */
  async changes(resources: readonly Resource[]): Promise<readonly Change[]> {
    return this.ofApplying(await this.asNext(resources));
  }

  /** The same, of resources as they are: plugins with their marks. */
  ofApplying(resources: readonly Resource[]): Promise<readonly Change[]> {
    return this.changesBy(resources, (resource) => this.objects.apply(resource, { dryRun: true }));
  }

  /** The same as `changes`, where others own fields that would be changed as well; and who they are. Changes nothing. */
  async differences(
    resources: readonly Resource[],
  ): Promise<{ readonly changes: readonly Change[]; readonly conflicts: readonly ApiError[] }> {
    const conflicts: ApiError[] = [];
    const changes = await this.changesBy(await this.asNext(resources), async (resource) => {
      try {
        return await this.objects.apply(resource, { dryRun: true });
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 409) throw error;
        conflicts.push(error);
        return this.objects.differs(resource);
      }
    });
    return { changes, conflicts };
  }

  private async asNext(resources: readonly Resource[]): Promise<readonly Resource[]> {
    const plugins = resources.filter((resource) => stageOf(resource) === "plugin");
    const live = await each(plugins, (plugin) => this.objects.get(plugin));
    return marked(
      resources,
      live.flatMap((one) => one ?? []),
      "next",
    );
  }

  private async changesBy(
    resources: readonly Resource[],
    apply: (resource: Resource) => Promise<Resource>,
  ): Promise<readonly Change[]> {
    return each(resources, async (resource) => {
      const live = await this.objects.get(resource);
      const owner = live === undefined ? undefined : meshNameOf(live);
      if (owner !== undefined && owner !== this.mesh.name) {
        throw new UsageError(
          `${titleOf(resource)} belongs to the mesh ${owner}`,
          "give one of the two meshes another name, or uninstall the other first",
        );
      }
      return { resource, live, applied: await apply(resource) };
    });
  }

  /** What there is and bringing in `resources` and nothing else would remove. */
  async removals(resources: readonly Resource[]): Promise<readonly Resource[]> {
    return this.thatAreThere(await this.revisions.list(), resources);
  }

  /** What `remove` would remove, and what it would leave without what hopgate wrote into it. */
  async belongings(): Promise<Belongings> {
    const known = await this.revisions.list();
    const there = await this.thatAreThere(known, []);
    const adopted = new Set(newestFirst(known)[0]?.adopted);
    const isAdopted = (resource: Resource): boolean => adopted.has(titleOf(resource));
    return { made: there.filter((resource) => !isAdopted(resource)), adopted: there.filter(isAdopted) };
  }

  private async thatAreThere(known: readonly Revision[], wanted: readonly Resource[]): Promise<readonly Resource[]> {
    const titles = new Set(wanted.map(titleOf));
    const gone = inventory(known).filter((resource) => !titles.has(titleOf(resource)));
    const live = await each(gone, (resource) => this.objects.get(resource));
    return gone.filter((_, index) => live[index] !== undefined);
  }
}
