/** What a caller must present so that every validator on the way of its request is satisfied. */

/** What a validator demands of a token. */
export interface Demands {
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  readonly emails: readonly string[];
  readonly algorithm: "RS256" | "ES256";
  /** Undefined: `x-serverless-authorization` if present, else `authorization`. */
  readonly header: string | undefined;
  readonly maxLifetimeSec: number;
}

/** One token, for all validators that look into one header. */
export interface Credential {
  readonly header: string;
  readonly algorithm: Demands["algorithm"];
  readonly issuer: string;
  readonly audience: string;
  /** Undefined: any caller will do. */
  readonly email: string | undefined;
  /** The longest time between `iat` and `exp`. */
  readonly maxLifetimeSec: number;
}

const AUTHORIZATION = "authorization";
const SERVERLESS = "x-serverless-authorization";

/** The header in which each of the validators on one way looks: where one of them names Cloud Run's, those without a header look there too. */
export function carriersOf(validators: readonly Pick<Demands, "header">[]): readonly string[] {
  const usual = validators.some(({ header }) => header?.toLowerCase() === SERVERLESS) ? SERVERLESS : AUTHORIZATION;
  return validators.map(({ header }) => header?.toLowerCase() ?? usual);
}

/** One for each header that is looked into; undefined where no one token satisfies all who look into the same. */
export function credentialsFor(validators: readonly Demands[]): readonly Credential[] | undefined {
  const carriers = carriersOf(validators);
  const credentials: Credential[] = [];
  for (const header of new Set(carriers)) {
    const credential = credentialIn(
      header,
      validators.filter((_, index) => carriers[index] === header),
    );
    if (credential === undefined) return undefined;
    credentials.push(credential);
  }
  return credentials;
}

function credentialIn(header: string, validators: readonly Demands[]): Credential | undefined {
  const [algorithm, ...otherAlgorithms] = new Set(validators.map((validator) => validator.algorithm));
  const [issuer] = common(validators.map(({ issuers }) => issuers));
  const [audience] = common(validators.map(({ audiences }) => audiences));
  const choosy = validators.filter(({ emails }) => !emails.includes("*"));
  const [email] = common(choosy.map(({ emails }) => emails));
  const isHopeless = otherAlgorithms.length > 0 || (choosy.length > 0 && email === undefined);
  if (isHopeless || algorithm === undefined || issuer === undefined || audience === undefined) return undefined;
  const maxLifetimeSec = Math.min(...validators.map((validator) => validator.maxLifetimeSec));
  return { header, algorithm, issuer, audience, email, maxLifetimeSec };
}

/** What is in all lists, in the order of the first. */
function common([first = [], ...others]: readonly (readonly string[])[]): readonly string[] {
  return first.filter((entry) => others.every((list) => list.includes(entry)));
}

/** The value of the header that carries `token`: only the headers of HTTP and of Cloud Run have a scheme in front. */
export function headerValue({ header }: Pick<Credential, "header">, token: string): string {
  return header === AUTHORIZATION || header === SERVERLESS ? `Bearer ${token}` : token;
}
