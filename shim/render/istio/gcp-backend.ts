import type { CloudRunBackend, Mesh } from "../../config/model.js";
import { UsageError } from "../../errors.js";
import type { JsonObject } from "../envoy/json.js";
import { cloudRunService } from "./cloud-run-service.js";
import { labelsOf, resourceName } from "./labels.js";
import type { Resource } from "./resource.js";

/** The kind GCPBackend of one cluster, by which managed Cloud Service Mesh knows a Cloud Run service. */
export interface GcpBackendKind {
  readonly apiVersion: string;
  /** What its `spec` may be. Versions of the CRD differ in it, so it comes from the cluster. */
  readonly spec: ObjectSchema;
}

/** The part of a schema (OpenAPI 3.0, as in a CRD) that is read. */
export interface ObjectSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, ObjectSchema>>;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
}

/** Where it is; its fields are documented at https://docs.cloud.google.com/service-mesh/docs/cloud-run-api-reference. */
export const GCP_BACKEND_GROUP = "networking.gke.io";

/** Whether a GCPBackend is wanted where the cluster has them. */
export function wantsGcpBackend(mesh: Mesh): boolean {
  return [...mesh.backends.values()].some((backend) => backend.kind === "cloudRun" && backend.via === "gcpBackend");
}

/**
 * The service as a GCPBackend, beside its ServiceEntry: Istio's own control plane does not read it, a managed one does.
 * @throws UsageError where the schema wants what the file does not say, or does not have what has to be said
 */
export function gcpBackend(mesh: Mesh, namespace: string, backend: CloudRunBackend, kind: GcpBackendKind): Resource {
  return {
    apiVersion: kind.apiVersion,
    kind: "GCPBackend",
    metadata: { name: resourceName(mesh, backend.name), namespace, labels: labelsOf(mesh, undefined) },
    spec: specOf(backend, kind.spec),
  };
}

function specOf(backend: CloudRunBackend, schema: ObjectSchema): JsonObject {
  const cloudRunName = propertyNamed(schema, /^cloud_?run$/i);
  if (cloudRunName === undefined) throw unfit(backend, "has no field for a Cloud Run service");
  const types = propertyNamed(schema, /^type$/i);
  const type = types === undefined ? undefined : schema.properties?.[types]?.enum?.find(isCloudRun);
  const spec = {
    ...(types !== undefined && typeof type === "string" && { [types]: type }),
    [cloudRunName]: cloudRunOf(backend, schema.properties?.[cloudRunName] ?? {}, `spec.${cloudRunName}`),
  };
  refuseMissing(backend, schema, spec, "spec");
  return spec;
}

function cloudRunOf(backend: CloudRunBackend, schema: ObjectSchema, path: string): JsonObject {
  const { name, region } = cloudRunService(backend);
  const at = `backends.${backend.name}.cloudRun`;
  if (name === undefined)
    throw new UsageError(
      `${at}.url: ${backend.url} does not say the name of the service, which a GCPBackend needs`,
      "write the URL that Cloud Run gave it (SERVICE-PROJECTNUMBER.REGION.run.app), and your own host as its audience; or via: serviceEntry",
    );
  if (region === undefined)
    throw new UsageError(`${at}.region is needed for a GCPBackend`, "write the service's region, or via: serviceEntry");
  const service = propertyNamed(schema, /^service(_?name)?$/i);
  const regions = propertyNamed(schema, /^regions?$/i);
  if (service === undefined || regions === undefined)
    throw unfit(backend, `has no field for the service's name or region in ${path}`);
  const spec = { [service]: name, [regions]: schema.properties?.[regions]?.type === "array" ? [region] : region };
  refuseMissing(backend, schema, spec, path);
  return spec;
}

function propertyNamed({ properties = {} }: ObjectSchema, pattern: RegExp): string | undefined {
  return Object.keys(properties).find((name) => pattern.test(name));
}

function isCloudRun(value: unknown): boolean {
  return typeof value === "string" && /^cloud_?run$/i.test(value);
}

function refuseMissing(backend: CloudRunBackend, schema: ObjectSchema, spec: JsonObject, path: string): void {
  const { required = [], properties = {} } = schema;
  const missing = required.filter((name) => spec[name] === undefined && properties[name]?.default === undefined);
  if (missing.length === 0) return;
  const paths = missing.map((name) => `${path}.${name}`);
  throw unfit(backend, `wants ${paths.join(" and ")}, which hopgate does not know`);
}

function unfit({ name }: CloudRunBackend, why: string): UsageError {
  return new UsageError(`backends.${name}: the cluster's GCPBackend ${why}`, "write via: serviceEntry");
}
