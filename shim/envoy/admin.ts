import { Failure } from "../errors.js";

const TIMEOUT_MS = 5000;

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** An Envoy's administration interface (https://www.envoyproxy.io/docs/envoy/latest/operations/admin). */
export interface Admin {
  /** `host:port`. */
  readonly address: string;
  /** The body of `GET path`. @throws Failure if it cannot be had or the status is not 200. */
  get(path: string): Promise<string>;
  /** Whether the server is LIVE: configured, listening, not draining. False also where nobody answers. */
  ready(): Promise<boolean>;
  /** Counters and gauges whose name `filter`, an RE2 expression, matches somewhere, by name. */
  stats(filter: string): Promise<ReadonlyMap<string, number>>;
  /** Where each listener really listens, by name; listeners that are not sockets are left out. */
  listeners(): Promise<ReadonlyMap<string, SocketAddress>>;
}

/** A client for the administration interface at `address`, a `host:port`. */
export function adminAt(address: string): Admin {
  const get = (path: string): Promise<string> => fetchText(`http://${address}${path}`);
  return {
    address,
    get,
    ready: () =>
      get("/ready").then(
        (state) => state.trim() === "LIVE",
        () => false,
      ),
    stats: async (filter) => {
      const body = await get(`/stats?format=json&filter=${encodeURIComponent(filter)}`);
      return numbers((JSON.parse(body) as StatsBody).stats);
    },
    listeners: async () => {
      const body = JSON.parse(await get("/listeners?format=json")) as ListenersBody;
      return sockets(body.listener_statuses ?? []);
    },
  };
}

/** Envoy's source/server/admin/stats_render.cc; histograms stand in one entry without name and value. */
interface StatsBody {
  readonly stats: readonly { readonly name?: string; readonly value?: number | string }[];
}

/** `envoy.admin.v3.Listeners`; without listeners the field is absent. */
interface ListenersBody {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address?: { readonly address: string; readonly port_value: number } };
  }[];
}

function numbers(stats: StatsBody["stats"]): ReadonlyMap<string, number> {
  const byName = new Map<string, number>();
  for (const { name, value } of stats) {
    if (name !== undefined && typeof value === "number") byName.set(name, value);
  }
  return byName;
}

function sockets(statuses: NonNullable<ListenersBody["listener_statuses"]>): ReadonlyMap<string, SocketAddress> {
  const byName = new Map<string, SocketAddress>();
  for (const { name, local_address } of statuses) {
    const socket = local_address.socket_address;
    if (socket !== undefined) byName.set(name, { address: socket.address, port: socket.port_value });
  }
  return byName;
}

async function fetchText(url: string): Promise<string> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    body = await response.text();
  } catch (error) {
    throw new Failure(`Envoy's admin does not answer at ${url}`, { cause: error });
  }
  if (response.status !== 200) throw new Failure(`${url} answered ${response.status}: ${body.trim().slice(0, 200)}`);
  return body;
}
