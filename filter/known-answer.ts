/**
 * One signature of each algorithm that is known to hold: what the proxy's signature check is tried with before a configuration
 * that relies on it is taken. The keys were made for this alone, with `generateKeyPairSync` of Node's `crypto`, and their
 * private halves were thrown away.
 */
import { Algorithm } from "./algorithm";
import { Bytes } from "./host/bytes";

export class KnownAnswer {
  constructor(
    /** SubjectPublicKeyInfo in DER, in base64url. */
    readonly publicKey: Bytes,
    /** As JWS has it, in base64url. */
    readonly signature: Bytes,
    readonly text: Bytes,
  ) {}
}

/** Allocates: for the time of configuration. */
export function knownAnswerOf(algorithm: Algorithm): KnownAnswer {
  const text = Bytes.of("hopgate known answer");
  if (algorithm == Algorithm.ES256) {
    return new KnownAnswer(
      Bytes.of(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECB0fyZHdTRVaYnhmHBtDT5BEYcCj-7dKf7EPfmZVFeCpX5uB4YJnOYjoslTvyXulzQke" +
          "lPBcyfBLAUgLO6T43Q",
      ),
      Bytes.of("myYddLUmpq8y2inkXjzFnINif6O0yHEprrnfetBHNItCu3xzKRyVIOtc6jo0Q-XFKWQ_9eMdcxouxhmTLttJWA"),
      text,
    );
  }
  return new KnownAnswer(
    Bytes.of(
      "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAkJZl1yvhDO2Q_GbLMwFdm1klFrsx9IzGrxdBE5mjmxaV1RcSRcJ9knozBqaO" +
        "hfo3V31oXJPgbrfCvOAnNXzWR_X5Fh2qgYCSXM-EA6O_Fz4wDo-PbQlT6WFrvSOmkal6HLk-oXedjpmpNxXgLJx94J-oxg6Py1ha78Nd" +
        "1dlCQYtLibeVq7WODmA5r6Yh6TjFSzd7ealfcTWFdwVftjNCeWKIAHkdK_17Rvb6zubwuLx8kGwk8Z1d9xukV8hmPV0H0cE_0_n6Dfz5" +
        "6vrfs9fNOTrRsSrCK0fm8VDl3Sj7Ba6PfzvlEqo4kJW017TAbegqYsrB-PG4hQ2wdyFKmr6u9wIDAQAB",
    ),
    Bytes.of(
      "LrOW0AEmEEgQhCS9eeVdgicSrWM72K3pFlrvM9fsR6vz2RHtgzM7jZ3ffw7yFLGoFlQzUJCyyI7mV5pAyTNZ0yHgLUsu6eDzwkpCIvVT" +
        "dQqK_qcBjQDT6cy0-KBRutLwH40dtXZAOcpLfnMPwU2B3N9bX-vU1R3-yg_71cKcWSVbctfcRpflZEDhJqd4CP5YSidgQ2PdoQukS4jy" +
        "uUa51NAX6-YYlV4wGgy7sBd0qRE4-Jsok9ucPtsah-AdRrv4NHyYbX6TENUrNIMpUYBQ7x2gtn9rQoE89hNYHLcfOUYJmqcx1kU3Zt1P" +
        "Zr5DBGr8-ibFhLgfBirNViDnN15-oA",
    ),
    text,
  );
}
