/**
 * The callers of the local mesh, each with tokens like those that it would get outside: a workload from its metadata server,
 * a person from Identity-Aware Proxy. For people at a terminal the headers also lie in files (`curl -H @FILE`), so that no
 * token stands on a command line; the tokens in them are renewed for as long as the mesh runs.
 */

import { checksOn } from "../config/checks.js";
import { type Credential, credentialsFor, headerValue } from "../config/credential.js";
import type { Hop, Mesh, Route, Validator } from "../config/model.js";
import { Failure } from "../errors.js";
import type { Issuers } from "./issuers.js";
import type { WorkFiles } from "./work-files.js";

/**
 * - `allowed`: everybody who checks lets it in.
 * - `stranger`: its token is as good, but its address is on no list.
 * - `anonymous`: it has no token.
 */
export type Caller = "allowed" | "stranger" | "anonymous";

/** Who calls where any caller will do. */
const ANYBODY = "caller@local-mesh.iam.gserviceaccount.com";
const STRANGER = "stranger@local-mesh.iam.gserviceaccount.com";

/** As Google's. */
const LIFETIME_SEC = 3600;
/** Tokens in files are renewed when half of their life is over. */
const RENEWALS_PER_LIFE = 2;

export interface CallersOptions {
  readonly issuers: Issuers;
  readonly files: WorkFiles;
}

export class Callers {
  private readonly options: CallersOptions;
  private renewal: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();

  constructor(options: CallersOptions) {
    this.options = options;
  }

  /** Writes the files for all routes of `mesh`, and keeps their tokens fresh until the next call or `close`. */
  async follow(mesh: Mesh): Promise<void> {
    await this.close();
    const checked = mesh.routes.map((route) => validatorsOn(mesh, route)).filter(({ length }) => length > 0);
    const write = async (): Promise<void> => {
      for (const validators of checked) await this.writeFile(validators);
    };
    await write();
    const lifetimesSec = checked.flat().map(({ maxLifetimeSec }) => Math.min(maxLifetimeSec, LIFETIME_SEC));
    if (lifetimesSec.length === 0) return;
    const renew = (): void => {
      // A token that could not be renewed expires, and whoever uses it is told so.
      this.writing = write().catch(() => undefined);
    };
    this.renewal = setInterval(renew, (Math.min(...lifetimesSec) * 1000) / RENEWALS_PER_LIFE).unref();
  }

  /** No file is written any more. */
  async close(): Promise<void> {
    clearInterval(this.renewal);
    await this.writing;
  }

  /** The file with the headers of a caller that all of `validators` let in. */
  fileFor(validators: readonly Validator[]): string {
    return this.options.files.path(fileName(validators));
  }

  /** The headers by which `caller` is known to `validators`; none where nobody checks. */
  async headersFor(validators: readonly Validator[], caller: Caller): Promise<Readonly<Record<string, string>>> {
    const headers: Record<string, string> = {};
    if (caller === "anonymous") return headers;
    for (const credential of credentialsFor(validators) ?? []) {
      headers[credential.header] = headerValue(credential, await this.tokenFor(credential, caller));
    }
    return headers;
  }

  /** By which address `validators` know the caller; undefined where it shows no token. */
  addressOf(validators: readonly Validator[], caller: Caller): string | undefined {
    const [credential] = caller === "anonymous" ? [] : (credentialsFor(validators) ?? []);
    if (credential === undefined) return undefined;
    return caller === "stranger" ? STRANGER : (credential.email ?? ANYBODY);
  }

  private async writeFile(validators: readonly Validator[]): Promise<void> {
    const lines = Object.entries(await this.headersFor(validators, "allowed")).map(
      ([name, value]) => `${name}: ${value}\n`,
    );
    await this.options.files.write(fileName(validators), lines.join(""));
  }

  private tokenFor(credential: Credential, caller: Caller): Promise<string> {
    const { algorithm, issuer, audience, maxLifetimeSec } = credential;
    const email = caller === "stranger" ? STRANGER : (credential.email ?? ANYBODY);
    const iat = Math.floor(Date.now() / 1000);
    return this.options.issuers.sign(algorithm, {
      iss: issuer,
      aud: audience,
      email,
      // Identity-Aware Proxy has no such claim: it knows its users itself.
      ...(algorithm === "RS256" && { email_verified: true }),
      iat,
      exp: iat + Math.min(maxLifetimeSec, LIFETIME_SEC),
    });
  }
}

function fileName(validators: readonly Validator[]): string {
  return `callers/${validators.map(({ name }) => name).join("+")}.headers`;
}

/** Where callers from outside come in: the first gateway of the file. */
export function entranceOf(mesh: Mesh): Hop {
  const gateway = [...mesh.hops.values()].find(({ kind }) => kind === "gateway");
  if (gateway === undefined) throw new Failure("The local mesh has no gateway.");
  return gateway;
}

/** The validators on the way of a route, each once. */
export function validatorsOn(mesh: Mesh, route: Route): readonly Validator[] {
  return [...new Set(checksOn(mesh, entranceOf(mesh), route).map(({ validator }) => validator))];
}

/** Whether some validator lets in only callers that are on its list. */
export function isChoosy(validators: readonly Validator[]): boolean {
  return validators.some(({ emails }) => !emails.includes("*"));
}
