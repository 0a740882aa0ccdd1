import type { Cluster } from "./cluster.js";
import { Istiod } from "./istiod.js";
import type { Outside } from "./outside.js";
import { Proxy, type ProxyOptions } from "./proxy.js";
import { type Service, type ServiceOptions, startService } from "./service.js";

/** A cluster with Istio in it. */
export class Mesh {
  readonly istiod: Istiod;

  constructor(
    readonly cluster: Cluster,
    private readonly outside: Outside,
    private readonly envoyPath: string,
  ) {
    this.istiod = new Istiod(cluster);
  }

  /** Starts a gateway or a waypoint, and waits until it is ready. */
  startProxy(options: ProxyOptions): Promise<Proxy> {
    return Proxy.start(this.cluster, this.istiod, this.outside, this.envoyPath, options);
  }

  /** Makes a Service whose Pods are servers of this process. */
  startService(options: ServiceOptions): Promise<Service> {
    return startService(this.cluster, options);
  }
}
