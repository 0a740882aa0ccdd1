/** Who signs the tokens of callers in the local mesh, and where the keys are published: wherever the validators look for them. */

import type { JSONWebKeySet, JWTPayload } from "jose";

import type { Mesh } from "../config/model.js";
import type { Algorithm, KeySet } from "./keys.js";

export class Issuers {
  private readonly keys: Readonly<Record<Algorithm, KeySet>>;
  /** The algorithms of the validators that look at a place, `HOST/PATH`. */
  private readonly places = new Map<string, Set<Algorithm>>();

  constructor(keys: Readonly<Record<Algorithm, KeySet>>) {
    this.keys = keys;
  }

  /** Publishes the keys that the validators of `mesh` want. What was published stays: a mesh that is replaced still serves. */
  publish(mesh: Mesh): void {
    for (const { algorithm, jwks } of mesh.validators.values()) {
      const place = jwks.host + jwks.path;
      this.places.set(place, (this.places.get(place) ?? new Set()).add(algorithm));
    }
  }

  /** The key set at a path of a host; undefined where no validator looks. */
  keySetAt(host: string, path: string): JSONWebKeySet | undefined {
    const algorithms = this.places.get(host + path);
    return algorithms && { keys: [...algorithms].flatMap((algorithm) => this.keys[algorithm].jwks().keys) };
  }

  sign(algorithm: Algorithm, claims: JWTPayload): Promise<string> {
    return this.keys[algorithm].sign(claims);
  }
}
