import { describe, expect, it } from "vitest";
import { bootstrapFile } from "../../../../shim/render/envoy/bootstrap.js";
import { everywhere, ingress } from "./sample.js";

const { content } = bootstrapFile(ingress, "/run/hop");

describe("the bootstrap", () => {
  it("opens the admin port on loopback only, at a free port", () => {
    expect(content.admin).toEqual({ address: { socket_address: { address: "127.0.0.1", port_value: 0 } } });
  });

  it("bounds the connections of callers", () => {
    expect(everywhere("max_active_downstream_connections", content)).toEqual([20_000]);
  });

  it("makes labels of what the filter writes into the names of its metrics", () => {
    const name = "wasmcustom.hopgate_requests.hop=.=ingress;.;backend=.=kb;.;result=.=ok;.;";
    const [tags] = everywhere("stats_tags", content) as readonly { tag_name: string; regex: string }[][];
    const labels = (tags ?? []).flatMap((tag) => {
      const value = new RegExp(tag.regex.replaceAll("[:digit:]", "0-9")).exec(name)?.[2];
      return value === undefined ? [] : [[tag.tag_name, value]];
    });
    expect(labels).toEqual([
      ["hop", "ingress"],
      ["backend", "kb"],
      ["result", "ok"],
    ]);
  });
});
